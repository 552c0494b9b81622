package martlet.flink;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.flink.api.common.typeinfo.BasicTypeInfo;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.typeutils.RowTypeInfo;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;

/**
 * All that Kafka has of a record, as a row: topic, partition, offset, epoch milliseconds or null, key, value, headers.
 *
 * <p>flink-connector-kafka works with the classes of kafka-clients, flink-sql-connector-kafka with copies of them in another package. Methods
 * are looked up where a record is first seen, so that this is the schema of both, and compiles without either.
 */
public final class KafkaRecords implements InvocationHandler, Serializable {
  private static final long serialVersionUID = 1L;
  private static final String SCHEMA = "org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema";
  private static final TypeInformation<Row> TYPE =
      new RowTypeInfo(
          BasicTypeInfo.STRING_TYPE_INFO,
          BasicTypeInfo.INT_TYPE_INFO,
          BasicTypeInfo.LONG_TYPE_INFO,
          BasicTypeInfo.LONG_TYPE_INFO,
          PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO,
          PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO,
          PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);

  private transient Method[] getters;
  private transient Method headerName;
  private transient Method headerValue;

  /** A KafkaRecordDeserializationSchema of the connector that the current class loader has. */
  public static Object schema() throws ClassNotFoundException {
    return proxy(SCHEMA, new KafkaRecords());
  }

  /** Puts an offset into a map; Python's side would make an Integer of a small one. */
  public static void put(Map<Object, Long> offsets, Object place, long offset) {
    offsets.put(place, offset);
  }

  static Object proxy(String type, InvocationHandler handler) throws ClassNotFoundException {
    ClassLoader loader = Thread.currentThread().getContextClassLoader();
    return Proxy.newProxyInstance(loader, new Class<?>[] {Class.forName(type, true, loader)}, handler);
  }

  /** What java.lang.Object has, of a proxy; null for other methods. */
  static Object common(Object proxy, Method method, Object[] arguments) {
    switch (method.getName()) {
      case "hashCode":
        return System.identityHashCode(proxy);
      case "equals":
        return proxy == arguments[0];
      case "toString":
        return "martlet.flink";
      default:
        return null;
    }
  }

  @Override
  @SuppressWarnings("unchecked")
  public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
    if (method.getName().equals("getProducedType")) {
      return TYPE;
    }
    if (method.getName().equals("deserialize")) {
      ((Collector<Row>) arguments[1]).collect(row(arguments[0]));
      return null;
    }
    return common(proxy, method, arguments);
  }

  private Row row(Object record) throws ReflectiveOperationException, IOException {
    if (getters == null) {
      String[] names = {"topic", "partition", "offset", "timestamp", "key", "value", "headers", "timestampType"};
      Method[] found = new Method[names.length];
      for (int i = 0; i < names.length; i++) {
        found[i] = record.getClass().getMethod(names[i]);
      }
      getters = found;
    }
    Row row = new Row(7);
    for (int i = 0; i < 6; i++) {
      row.setField(i, getters[i].invoke(record));
    }
    if (((Enum<?>) getters[7].invoke(record)).name().equals("NO_TIMESTAMP_TYPE")) {
      row.setField(3, null);
    }
    row.setField(6, headers((Iterable<?>) getters[6].invoke(record)));
    return row;
  }

  /** Each: the length of its name, the name, the length of its value or -1 for null, the value. Null if there are none. */
  private byte[] headers(Iterable<?> headers) throws ReflectiveOperationException, IOException {
    ByteArrayOutputStream bytes = null;
    DataOutputStream out = null;
    for (Object header : headers) {
      if (headerName == null) {
        headerName = header.getClass().getMethod("key");
        headerValue = header.getClass().getMethod("value");
      }
      if (out == null) {
        bytes = new ByteArrayOutputStream();
        out = new DataOutputStream(bytes);
      }
      byte[] name = ((String) headerName.invoke(header)).getBytes(StandardCharsets.UTF_8);
      byte[] value = (byte[]) headerValue.invoke(header);
      out.writeInt(name.length);
      out.write(name);
      out.writeInt(value == null ? -1 : value.length);
      if (value != null) {
        out.write(value);
      }
    }
    return bytes == null ? null : bytes.toByteArray();
  }
}
