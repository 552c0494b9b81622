// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "examples",
  dependencies: [.package(name: "martlet", path: "../..")],
  targets: ["Counter", "Durable", "Inactivity", "Suspicion"].map {
    .executableTarget(name: $0, dependencies: [.product(name: "Martlet", package: "martlet")])
  },
  swiftLanguageModes: [.v6]
)
