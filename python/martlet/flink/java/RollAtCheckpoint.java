package martlet.flink;

import java.io.IOException;
import org.apache.flink.streaming.api.functions.sink.filesystem.PartFileInfo;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.CheckpointRollingPolicy;

/** A file ends with each checkpoint, and when it has so many bytes (0: never). */
public final class RollAtCheckpoint<IN> extends CheckpointRollingPolicy<IN, String> {
  private static final long serialVersionUID = 1L;

  private final long maxBytes;

  public RollAtCheckpoint(long maxBytes) {
    this.maxBytes = maxBytes;
  }

  @Override
  public boolean shouldRollOnEvent(PartFileInfo<String> part, IN element) throws IOException {
    return maxBytes > 0 && part.getSize() >= maxBytes;
  }

  @Override
  public boolean shouldRollOnProcessingTime(PartFileInfo<String> part, long now) {
    return false;
  }
}
