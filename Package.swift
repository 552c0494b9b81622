// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "martlet",
  products: [
    .library(name: "Martlet", targets: ["Martlet"]),
    // State on disk. Needs RocksDB with its headers (Debian: librocksdb-dev); the product Martlet does not.
    .library(name: "MartletRocksDB", targets: ["MartletRocksDB"]),
    .library(name: "martlet", type: .dynamic, targets: ["MartletABI"]),
  ],
  targets: [
    .target(name: "CMartlet"),
    .target(name: "Martlet", dependencies: ["CMartlet"]),
    .systemLibrary(name: "CRocksDB", pkgConfig: "rocksdb", providers: [.apt(["librocksdb-dev"]), .brew(["rocksdb"])]),
    .target(name: "CRocksDBShim", dependencies: ["CRocksDB"]),
    .target(name: "MartletRocksDB", dependencies: ["Martlet", "CRocksDB", "CRocksDBShim"]),
    .target(name: "MartletABI", dependencies: ["Martlet", "MartletRocksDB", "CMartlet"]),
    .testTarget(name: "MartletTests", dependencies: ["Martlet", "MartletRocksDB"]),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)
