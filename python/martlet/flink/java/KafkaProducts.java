package martlet.flink;

import java.io.Serializable;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.flink.types.Row;

/** Rows of key, value, headers and partition as records of a topic; see {@link KafkaRecords}, also for the form of headers. */
public final class KafkaProducts implements InvocationHandler, Serializable {
  private static final long serialVersionUID = 1L;
  private static final String SCHEMA = "org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema";

  private final String topic;
  private transient Constructor<?> record;
  private transient Method headers;
  private transient Method add;

  private KafkaProducts(String topic) {
    this.topic = topic;
  }

  /** A KafkaRecordSerializationSchema of the connector that the current class loader has. */
  public static Object schema(String topic) throws ClassNotFoundException {
    return KafkaRecords.proxy(SCHEMA, new KafkaProducts(topic));
  }

  @Override
  public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
    if (!method.getName().equals("serialize")) {
      return KafkaRecords.common(proxy, method, arguments);
    }
    if (record == null) {
      Class<?> type = method.getReturnType();
      record = type.getConstructor(String.class, Integer.class, Object.class, Object.class);
      headers = type.getMethod("headers");
      add = headers.getReturnType().getMethod("add", String.class, byte[].class);
    }
    Row row = (Row) arguments[0];
    Object made = record.newInstance(topic, row.getField(3), row.getField(0), row.getField(1));
    byte[] given = (byte[]) row.getField(2);
    if (given != null) {
      Object target = headers.invoke(made);
      ByteBuffer bytes = ByteBuffer.wrap(given);
      while (bytes.hasRemaining()) {
        String name = new String(next(bytes), StandardCharsets.UTF_8);
        add.invoke(target, name, next(bytes));
      }
    }
    return made;
  }

  private static byte[] next(ByteBuffer bytes) {
    int length = bytes.getInt();
    if (length < 0) {
      return null;
    }
    byte[] found = new byte[length];
    bytes.get(found);
    return found;
  }
}
