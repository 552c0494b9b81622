/// One output of an operator instance on its way to the next: its rows, and the watermarks between them.
final class OutputLane {
  /// Nil: the main output.
  let tag: String?
  let builder: OutputBuilder
  /// Watermarks passed since the rows were last taken, at the number of rows before each. Kept only while `forwards`.
  @exclusivity(unchecked) var marks: [WatermarkMark] = []
  /// Whether the output feeds another operator, which needs watermarks and timestamps.
  @exclusivity(unchecked) var forwards = false {
    didSet { if forwards { builder.recordsTimestamps = true } }
  }
  /// Whether anybody takes the rows. What nobody takes is counted and dropped.
  var isKept = false
  /// Rows dropped because nobody takes them.
  var dropped: Int64 = 0
  let port: OutputPort

  init(_ tag: String?, _ builder: OutputBuilder, _ context: Context) {
    self.tag = tag
    self.builder = builder
    port = OutputPort(builder, context)
  }

  /// A watermark comes after the rows so far.
  @inline(__always)
  func note(_ watermark: Int64) {
    if forwards { marks.append(WatermarkMark(position: builder.numRows, watermark: watermark)) }
  }

  /// The watermarks that came between the rows of a slice, put where `onEvent` would have put them: before the first output
  /// row that comes from a later row of the slice. A row that no `SliceRows` covers counts as the work of the last row.
  func note(_ interior: Slice<UnsafeBufferPointer<WatermarkMark>>, slicePosition: Int, outputStart: Int) {
    guard forwards else { return }
    var rest = interior
    var cursor = outputStart
    for run in builder.sliceRows where !rest.isEmpty {
      guard run.outputRow == cursor else { break }
      for position in 0..<run.count {
        while let mark = rest.first, mark.position - slicePosition <= run.sliceRow + position {
          marks.append(WatermarkMark(position: run.outputRow + position, watermark: mark.watermark))
          rest.removeFirst()
        }
      }
      cursor += run.count
    }
    for mark in rest { marks.append(WatermarkMark(position: cursor, watermark: mark.watermark)) }
  }
}
