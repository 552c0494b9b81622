import CMartlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Memory that two processes share. It has no name in any file system, so nothing can be left behind: it is gone with the
/// last process that has it.
///
/// One side creates and writes it, the other maps it for reading. `@unchecked Sendable`: the mapping does not change after
/// `init`; who may write when is for `BlockPool` to say.
final class SharedBlock: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let size: Int
  /// To be sent to those who map it; -1 once it was closed.
  private(set) var descriptor: Int32

  /// A new block of zero bytes, to be written.
  init(creating size: Int) throws(EngineError) {
    let descriptor = martlet_memory_create(size)
    guard descriptor >= 0 else {
      throw SharedBlock.failure("\(size) bytes of shared memory could not be made", errno)
    }
    guard let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), base != MAP_FAILED else {
      let status = errno
      Self.close(descriptor)
      throw SharedBlock.failure("\(size) bytes of shared memory could not be mapped", status)
    }
    self.base = base
    self.size = size
    self.descriptor = descriptor
  }

  /// The block behind a descriptor, which is closed, for reading. Errors: it is smaller than `size`.
  init(mapping descriptor: Int32, size: Int) throws(EngineError) {
    defer { Self.close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, size > 0, Int(status.st_size) >= size else {
      throw SharedBlock.failure("a block of shared memory has \(status.st_size) bytes, not \(size)", errno)
    }
    guard let base = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0), base != MAP_FAILED else {
      throw SharedBlock.failure("\(size) bytes of shared memory could not be mapped", errno)
    }
    self.base = base
    self.size = size
    self.descriptor = -1
  }

  deinit {
    munmap(base, size)
    closeDescriptor()
  }

  /// When everybody who is to map it has it.
  func closeDescriptor() {
    if descriptor >= 0 { Self.close(descriptor) }
    descriptor = -1
  }

  private static func close(_ descriptor: Int32) {
    #if canImport(Glibc)
      _ = Glibc.close(descriptor)
    #elseif canImport(Musl)
      _ = Musl.close(descriptor)
    #else
      _ = Darwin.close(descriptor)
    #endif
  }

  private static func failure(_ what: String, _ status: Int32) -> EngineError {
    EngineError(
      .sourceFailed,
      "\(what) (\(String(cString: strerror(status)))); raise the limits of memory and open files of this process, or use a lower "
        + "parallelism")
  }
}
