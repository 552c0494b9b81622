// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "martlet",
  products: [
    .library(name: "Martlet", targets: ["Martlet"]),
    .library(name: "martlet", type: .dynamic, targets: ["MartletABI"]),
  ],
  targets: [
    .target(name: "CMartlet"),
    .target(name: "Martlet", dependencies: ["CMartlet"]),
    .target(name: "MartletABI", dependencies: ["Martlet", "CMartlet"]),
    .testTarget(name: "MartletTests", dependencies: ["Martlet"]),
  ],
  swiftLanguageModes: [.v6]
)
