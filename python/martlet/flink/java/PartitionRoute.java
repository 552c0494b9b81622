package martlet.flink;

import java.util.List;
import org.apache.flink.api.common.functions.Partitioner;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.types.Row;

/** Sends each partition of Kafka to one subtask, which PartitionWatermarks is told of beforehand. */
public final class PartitionRoute implements Partitioner<Integer>, KeySelector<Row, Integer> {
  private static final long serialVersionUID = 1L;

  private final List<String> topics;

  public PartitionRoute(List<String> topics) {
    this.topics = topics;
  }

  @Override
  public Integer getKey(Row row) {
    return topics.indexOf(row.getField(0)) + (Integer) row.getField(1);
  }

  @Override
  public int partition(Integer key, int subtasks) {
    return key % subtasks;
  }
}
