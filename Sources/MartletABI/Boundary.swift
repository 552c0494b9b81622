import CMartlet
import Martlet

// What every thunk shares: unwrap the handle, call one method, map the error.

/// Runs `body`; on failure fills `error` (which may be NULL) and returns the status.
@inline(__always)
func boundary(error: UnsafeMutablePointer<martlet_error>?, _ body: () throws(EngineError) -> Void) -> Int32 {
  do {
    try body()
    return 0
  } catch let failure {
    return report(failure, into: error)
  }
}

/// The same for one call on the object behind a handle, without counting a reference to it: for what is called per record. The
/// caller's handle keeps the object alive for the call.
@inline(__always)
func boundary<Object: AnyObject>(
  _ handle: OpaquePointer, as: Object.Type, error: UnsafeMutablePointer<martlet_error>?,
  _ body: (Object) throws(EngineError) -> Void
) -> Int32 {
  Unmanaged<Object>.fromOpaque(UnsafeRawPointer(handle))._withUnsafeGuaranteedRef { object in
    boundary(error: error) { () throws(EngineError) in try body(object) }
  }
}

/// Writes an error into the caller's buffer and returns its status.
@inline(never)
func report(_ failure: EngineError, into error: UnsafeMutablePointer<martlet_error>?) -> Int32 {
  // Fatal is what a callback says; whoever runs the job is told that a callback failed.
  let status = (failure.kind == .callbackFatal ? .callbackFailed : failure.kind).rawValue
  guard let error else { return status }
  error.pointee.status = status
  error.pointee.record = failure.record ?? Int64(MARTLET_NO_RECORD)
  withUnsafeMutableBytes(of: &error.pointee.operator_name) { copyText(failure.operatorName ?? "", into: $0) }
  withUnsafeMutableBytes(of: &error.pointee.key) { copyText(failure.key ?? "", into: $0) }
  withUnsafeMutableBytes(of: &error.pointee.message) { copyText(failure.message, into: $0) }
  return status
}

/// Copies text with a NUL at its end, cut at a character boundary when it is too long.
func copyText(_ text: String, into buffer: UnsafeMutableRawBufferPointer) {
  var bytes = Array(text.utf8.prefix(buffer.count))
  if bytes.count == buffer.count {
    bytes.removeLast()
    // Step back over the continuation bytes of a character that does not fit as a whole.
    let whole = text.utf8.prefix(bytes.count)
    if text.utf8.dropFirst(whole.count).first.map({ $0 & 0xC0 == 0x80 }) ?? false {
      while let last = bytes.last, last & 0xC0 == 0x80 { bytes.removeLast() }
      if !bytes.isEmpty { bytes.removeLast() }
    }
  }
  buffer.copyBytes(from: bytes)
  buffer[bytes.count] = 0
}

/// Objects of the engine as opaque pointers of C.
enum Handle {
  /// A pointer that owns the object, to be given back with `release`.
  static func new(_ object: AnyObject) -> OpaquePointer { OpaquePointer(Unmanaged.passRetained(object).toOpaque()) }

  /// A pointer that does not.
  static func borrowed(_ object: AnyObject) -> OpaquePointer {
    OpaquePointer(Unmanaged.passUnretained(object).toOpaque())
  }

  @inline(__always)
  static func object<Object: AnyObject>(_ handle: OpaquePointer, as: Object.Type) -> Object {
    Unmanaged<Object>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
  }

  static func release<Object: AnyObject>(_ handle: OpaquePointer?, as: Object.Type) {
    if let handle { Unmanaged<Object>.fromOpaque(UnsafeRawPointer(handle)).release() }
  }
}

/// The error for a NULL where the header asks for a pointer.
func missing(_ argument: String) -> EngineError { EngineError(.invalidArgument, "\(argument) is NULL") }
