"""`amqp://` and `amqps://`: RabbitMQ through aio-pika.

aio-pika connects, authenticates, opens channels and declares; the three kinds of content frames that
make up the load (publish, deliver, confirm) are packed and unpacked here, because that is where the
time goes. `protocol` parts the two in the byte stream.
"""
