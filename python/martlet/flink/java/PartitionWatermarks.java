package martlet.flink;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.TimestampAssigner;
import org.apache.flink.api.common.eventtime.TimestampAssignerSupplier;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkGeneratorSupplier;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.types.Row;

/**
 * A watermark for each partition, and the least of them for the stream, after records have been decoded: rows of partition, epoch
 * milliseconds (the least long: none) and record.
 *
 * <p>Flink itself has watermarks of partitions only inside of sources, which do not know the times that Python code finds in values. Partitions
 * that were there when the job was submitted are waited for; one that has been silent for `idleMs` (0: for ever) is not. `places`: those of
 * each subtask.
 */
public final class PartitionWatermarks implements WatermarkStrategy<Row> {
  private static final long serialVersionUID = 1L;

  private final List<List<String>> places;
  private final long boundMs;
  private final long idleMs;

  public PartitionWatermarks(List<List<String>> places, long boundMs, long idleMs) {
    this.places = places;
    this.boundMs = boundMs;
    this.idleMs = idleMs;
  }

  @Override
  public TimestampAssigner<Row> createTimestampAssigner(TimestampAssignerSupplier.Context context) {
    return (row, before) -> (Long) row.getField(1);
  }

  @Override
  public WatermarkGenerator<Row> createWatermarkGenerator(WatermarkGeneratorSupplier.Context context) {
    int subtask = Integer.parseInt(context.getMetricGroup().getAllVariables().get("<subtask_index>"));
    return new Generator(places.get(subtask), boundMs, idleMs);
  }

  private static final class Partition {
    long most = Long.MIN_VALUE;
    long heardMs = System.currentTimeMillis();
  }

  private static final class Generator implements WatermarkGenerator<Row> {
    private final Map<String, Partition> partitions = new HashMap<>();
    private final long boundMs;
    private final long idleMs;

    Generator(List<String> places, long boundMs, long idleMs) {
      this.boundMs = boundMs;
      this.idleMs = idleMs;
      places.forEach(place -> partitions.put(place, new Partition()));
    }

    @Override
    public void onEvent(Row row, long time, WatermarkOutput output) {
      Partition partition = partitions.computeIfAbsent((String) row.getField(0), place -> new Partition());
      partition.most = Math.max(partition.most, time);
      partition.heardMs = System.currentTimeMillis();
    }

    @Override
    public void onPeriodicEmit(WatermarkOutput output) {
      long now = System.currentTimeMillis();
      long least = Long.MAX_VALUE;
      boolean isIdle = true;
      for (Partition partition : partitions.values()) {
        if (idleMs == 0 || now - partition.heardMs < idleMs) {
          isIdle = false;
          least = Math.min(least, partition.most);
        }
      }
      if (isIdle) {
        // Also of a subtask that no partition belongs to.
        output.markIdle();
      } else if (least != Long.MIN_VALUE) {
        output.emitWatermark(new Watermark(least - boundMs - 1));
      }
    }
  }
}
