package martlet.flink;

import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.types.Row;

/** The record of a row that {@link PartitionWatermarks} has seen. */
public final class Payload implements MapFunction<Row, byte[]> {
  private static final long serialVersionUID = 1L;

  @Override
  public byte[] map(Row row) {
    return (byte[]) row.getField(2);
  }
}
