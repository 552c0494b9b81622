package enum EngineVersion {
  /// That of the package, as checkpoints note it down.
  package static let text = "0.1.0"
}
