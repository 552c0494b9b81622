import CMartlet

/// An output as a binding uses it: rows carry the timestamp of the current callback, errors its place.
///
/// Belongs to its context, which outlives every use.
package final class OutputPort {
  package let builder: OutputBuilder
  private let raw: UnsafePointer<martlet_context>
  /// Not counted: the context owns the port.
  private let context: Unmanaged<Context>

  init(_ builder: OutputBuilder, _ context: Context) {
    self.builder = builder
    self.context = .passUnretained(context)
    raw = UnsafePointer(context.raw)
  }

  package func emit(_ batch: Unmanaged<RecordBatch>, row: Int) throws(EngineError) {
    do {
      try builder.emitRow(batch, row, timestamp: raw.pointee.timestamp)
    } catch {
      throw located(error)
    }
  }

  package func emit(_ batch: RecordBatch) throws(EngineError) {
    do { try builder.emitBatch(batch, timestamp: raw.pointee.timestamp) } catch { throw located(error) }
  }

  package func emit(_ batch: RecordBatch, rows: Range<Int>) throws(EngineError) {
    let context = context.takeUnretainedValue()
    do { try context.emitRows(batch, rows, into: builder) } catch { throw located(error) }
  }

  package func endRow() throws(EngineError) {
    do { try builder.endBuiltRow(timestamp: raw.pointee.timestamp) } catch { throw located(error) }
  }

  package func declare(_ schema: Schema) throws(EngineError) {
    do { try builder.declare(schema) } catch { throw located(error) }
  }

  private func located(_ error: EngineError) -> EngineError { context.takeUnretainedValue().located(error) }
}
