/// An output as a binding uses it: rows carry the timestamp of the current callback, errors its place.
///
/// Belongs to its context, which outlives every use.
package final class OutputPort {
  package let builder: OutputBuilder
  private unowned let context: Context

  init(_ builder: OutputBuilder, _ context: Context) {
    self.builder = builder
    self.context = context
  }

  package func emit(_ batch: RecordBatch, row: Int) throws(EngineError) {
    do { try builder.emitRow(batch, row, timestamp: context.raw.pointee.timestamp) } catch { throw context.located(error) }
  }

  package func emit(_ batch: RecordBatch) throws(EngineError) {
    do { try builder.emitBatch(batch, timestamp: context.raw.pointee.timestamp) } catch { throw context.located(error) }
  }

  package func endRow() throws(EngineError) {
    do { try builder.endBuiltRow(timestamp: context.raw.pointee.timestamp) } catch { throw context.located(error) }
  }

  package func declare(_ schema: Schema) throws(EngineError) {
    do { try builder.declare(schema) } catch { throw context.located(error) }
  }
}
