"""The profile `distributed-durable`: the functions of Martlet on Apache Flink, through PyFlink."""
