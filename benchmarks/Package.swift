// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "martlet-benchmarks",
  dependencies: [.package(name: "martlet", path: "..")],
  targets: [
    // What the engine is measured against, and a count of allocations; C.
    .target(name: "CBenchPeers", path: "c", cSettings: [.unsafeFlags(["-O3"])]),
    .target(name: "BenchSupport", dependencies: ["CBenchPeers"]),
    .executableTarget(
      name: "MartletBenchmarks",
      dependencies: [
        "BenchSupport", "CBenchPeers", .product(name: "Martlet", package: "martlet"),
        .product(name: "MartletRocksDB", package: "martlet"),
      ]),
  ],
  swiftLanguageModes: [.v6]
)
