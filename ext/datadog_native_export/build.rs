//! Lets the code ask which Ruby it is built for: `cfg(ruby_3_1)`.

fn main() {
    let _ = rb_sys_env::activate();
}
