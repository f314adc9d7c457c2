# frozen_string_literal: true

class OrdersController < ActionController::Base
  skip_forgery_protection

  def index
    @orders = Order.order(:id).limit(2).to_a
  end

  def show
    order = Datadog::Tracing.trace("order.load", tags: { "order.id" => params[:id] }) { Order.find(params[:id]) }
    Rails.cache.write("order", order.title)
    render json: { title: order.title }
  end

  def create
    Order.transaction { Order.new(title: params.require(:title)).valid? }
    ReceiptJob.perform_later(params[:title])
    redirect_to "/orders"
  end

  def broken = raise("broken")

  # Which worker this is, ready for requests that need the database.
  def worker
    Order.first
    render plain: Process.pid.to_s
  end
end
