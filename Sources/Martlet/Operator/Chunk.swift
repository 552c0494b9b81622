/// Records that travel through the operators together: rows of one batch with their timestamps, and the watermarks
/// between them. Everything is borrowed for the call that it is passed to.
struct Chunk {
  let batch: RecordBatch
  let selection: RowSelection
  /// One per selected row, `EventTime.none` where there is none; nil if no record has one.
  let timestamps: UnsafePointer<Int64>?
  /// In order of position. Marks at the same position are separate advances.
  let marks: UnsafeBufferPointer<WatermarkMark>
  /// The number, in the operator's input, of row 0 of the batch.
  let firstRecord: Int64
  /// Only in a parallel instance: where its records stand in the whole chunk, whose positions the marks have.
  var ordered: OrderedChunk?
}
