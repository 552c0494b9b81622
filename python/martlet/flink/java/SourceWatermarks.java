package martlet.flink;

import org.apache.flink.api.common.eventtime.TimestampAssigner;
import org.apache.flink.api.common.eventtime.TimestampAssignerSupplier;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkGeneratorSupplier;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.java.tuple.Tuple2;

/**
 * The watermarks that a source has told: pairs of an element and the watermark behind it (the least long: none).
 *
 * <p>Each is sent at once. Flink's own generators send theirs now and then, and the last of them not at all before the end of the input: a
 * timer that falls due with the last record would be taken for one that only the end fires. And a watermark of two merged inputs cannot be
 * found from the times of its records.
 */
public final class SourceWatermarks implements WatermarkStrategy<Tuple2<byte[], Long>> {
  private static final long serialVersionUID = 1L;

  @Override
  public TimestampAssigner<Tuple2<byte[], Long>> createTimestampAssigner(TimestampAssignerSupplier.Context context) {
    return (pair, before) -> pair.f1;
  }

  @Override
  public WatermarkGenerator<Tuple2<byte[], Long>> createWatermarkGenerator(WatermarkGeneratorSupplier.Context context) {
    return new Generator();
  }

  private static final class Generator implements WatermarkGenerator<Tuple2<byte[], Long>> {
    private long most = Long.MIN_VALUE;

    @Override
    public void onEvent(Tuple2<byte[], Long> pair, long time, WatermarkOutput output) {
      if (pair.f1 > most) {
        most = pair.f1;
        output.emitWatermark(new Watermark(most));
      }
    }

    @Override
    public void onPeriodicEmit(WatermarkOutput output) {}
  }
}
