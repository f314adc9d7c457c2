# frozen_string_literal: true

Rails.application.routes.draw do
  resources :orders, only: %i[index show create]
  get "broken", to: "orders#broken"
  get "worker", to: "orders#worker"
end
