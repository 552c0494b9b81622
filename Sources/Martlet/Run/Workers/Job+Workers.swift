// A job whose instances are in worker processes, and the same job in a worker.

extension Job {
  /// Lets instance i of every operator run behind the i-th socket, where somebody serves a job built like this one. The functions
  /// of this job are not called. Takes the sockets, also when it throws. Errors: as `Parallelism.init`; the job has begun.
  package func useWorkers(_ sockets: [Int32], maxParallelism: Int) throws(EngineError) {
    let transport = try ProcessTransport(moving: sockets)
    try requireBuilding()
    parallelism = try Parallelism(sockets.count, of: maxParallelism)
    let ask = poll
    poll = { [unowned transport] in
      // Whatever the job waits for when it is interrupted, its workers are not waited for any more.
      do { try ask() } catch {
        transport.giveUp(error)
        throw error
      }
    }
    // Weak: a job that is dropped closes its operators, which wait for the workers.
    transport.poll = { [weak self] in try self?.poll() }
    self.transport = transport
  }

  /// Serves as instance `instance` of every operator until the coordinator dismisses this worker, and ends the process when the
  /// coordinator goes without a word. The job is closed; its sources are not read. Takes the socket, also when it throws. `cause`
  /// says more about the failure of a callback, just after it. `backends` are what the worker's store may be made of, where the job has one.
  package func serve(
    socket: Int32, instance: Int, of parallelism: Parallelism, backends: [any StoreBackend] = [], watched: Bool = true,
    cause: @escaping () -> [UInt8]?
  ) throws {
    let server = try InstanceServer(moving: socket)
    guard instance >= 0, instance < parallelism.instances else {
      throw EngineError(
        .invalidArgument, "instance \(instance) is none of \(parallelism.instances); they are numbered from 0")
    }
    let place = InstancePlace(
      instance: Int32(instance), parallelism: Int32(parallelism.instances),
      maxParallelism: Int32(parallelism.maxInstances))
    let runners = try handOverAll().map { InstanceRunner($0, place) }
    let storage = try WorkerStorage(runners, place, backends)
    defer {
      // Those that the coordinator did not close. What their functions throw now, nobody is there to hear.
      for runner in runners.reversed() { _ = runner.run(.close, now: nil) }
      try? storage.close()
    }
    let instances = InstanceServer.Instances(
      run: { process, work, now in
        guard runners.indices.contains(process) else {
          throw EngineError(
            .internalError,
            "work for operator \(process) of a job with \(runners.count); build the job as the coordinator does")
        }
        return storage.named(runners[process].run(work, now: now))
      }, cause: cause, storage: storage)
    try server.serve(instances, watched: watched)
  }

  /// Gives all operators to somebody else to drive. The job is closed.
  private func handOverAll() throws(EngineError) -> [ProcessOperator] {
    try requireBuilding()
    let all = operators.compactMap { $0 as? ProcessOperator }
    operators = []
    state = .closed
    return all
  }
}
