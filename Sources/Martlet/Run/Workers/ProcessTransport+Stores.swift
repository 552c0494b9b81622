// The coordinator's side of workers that have stores of their own.

extension ProcessTransport: StoringTransport {
  func openStores(_ openings: [ProcessStore.Opening], _ numbers: [OperatorNumbers], backend: String) throws {
    guard openings.count == workerCount else {
      throw EngineError(.internalError, "\(openings.count) stores for \(workerCount) workers; please report this")
    }
    for (index, opening) in openings.enumerated() {
      var message = ByteWriter()
      message.storeOrder(WorkerStoreOrder(backend: backend, opening: opening, numbers: numbers))
      try tell(index, .openStore, message.bytes)
    }
    for index in openings.indices {
      _ = try reply(from: index, to: .openStore, waiting: true)?.get()
      takeReply(from: index, to: .openStore)
    }
  }

  func persistStores(to folders: [String], since previous: [StoreFiles.Previous?]) throws {
    for (index, folder) in folders.enumerated() {
      var message = ByteWriter()
      message.persistOrder(WorkerPersistOrder(folder: folder, previous: previous[index]))
      try tell(index, .persist, message.bytes)
    }
  }

  func takePersisted(waiting: Bool) throws -> [[Manifest.File]]? {
    var replies: [StoreReply] = []
    for index in 0..<workerCount {
      guard let reply = try reply(from: index, to: .persist, waiting: waiting) else { return nil }
      replies.append(reply)
    }
    // None is taken before all are here.
    for index in replies.indices { takeReply(from: index, to: .persist) }
    return try replies.map { try $0.get() }
  }

  /// Payload of a reply: flag: it went well; the files (none for the opening), or the error.
  static func readReply(_ payload: [UInt8], from index: Int, of count: Int) throws -> StoreReply {
    try payload.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      return try reader.bool()
        ? .success(try reader.manifestFiles()) : .failure(try reader.error().of(worker: index, of: count))
    }
  }

  static func writeReply(_ reply: StoreReply) -> [UInt8] {
    var message = ByteWriter()
    switch reply {
    case .success(let files):
      message.flag(true)
      message.manifestFiles(files)
    case .failure(let error):
      message.flag(false)
      message.error(error)
    }
    return message.bytes
  }
}

/// What a worker says about its store.
typealias StoreReply = Result<[Manifest.File], EngineError>
