import CMartlet
import Martlet
import MartletRocksDB

@_cdecl("martlet_abi_version")
public func martletABIVersion() -> UInt32 { UInt32(MARTLET_ABI_VERSION) }

/// Never freed: the header promises a static string.
private nonisolated(unsafe) let version: UnsafePointer<CChar> = {
  let text = EngineVersion.text.utf8CString
  let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: text.count)
  _ = copy.initialize(from: text)
  return UnsafePointer(copy.baseAddress!)
}()

@_cdecl("martlet_version")
public func martletVersion() -> UnsafePointer<CChar> { version }

@_cdecl("martlet_rocksdb_version")
public func martletRocksDBVersion() -> UnsafePointer<CChar> { RocksDB.versionCString }
