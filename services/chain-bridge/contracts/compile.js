// Compiles src/*.sol by the solc that package-lock.json pins and writes one artefact per contract: its ABI and bytecode,
// and their hash. The input is fixed to the byte (sorted sources, no paths of the machine, no metadata in the bytecode),
// so that anyone gets the same artefacts.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

const SOURCES = path.join(__dirname, "src");
const SETTINGS = {
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 10000 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

function sha256(text) {
  return crypto.createHash("sha256").update(text).digest("hex");
}

function readImport(name) {
  try {
    return { contents: fs.readFileSync(require.resolve(name), "utf8") };
  } catch (error) {
    return { error: `cannot read ${name}: ${error.message}` };
  }
}

function compile() {
  const names = fs.readdirSync(SOURCES).filter((name) => name.endsWith(".sol")).sort();
  const sources = Object.fromEntries(
    names.map((name) => [`src/${name}`, { content: fs.readFileSync(path.join(SOURCES, name), "utf8") }]),
  );
  const input = { language: "Solidity", sources, settings: SETTINGS };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
  const problems = output.errors ?? [];
  for (const problem of problems) process.stderr.write(`${problem.formattedMessage}\n`);
  if (problems.length > 0) throw new Error("the compiler had errors or warnings");
  return names.map((name) => {
    const contractName = path.basename(name, ".sol");
    const contract = output.contracts[`src/${name}`][contractName];
    return {
      contractName,
      compiler: `solc ${solc.version()}`,
      settings: { evmVersion: SETTINGS.evmVersion, optimizer: SETTINGS.optimizer, metadata: SETTINGS.metadata },
      source: { path: `contracts/src/${name}`, sha256: sha256(sources[`src/${name}`].content) },
      bytecodeSha256: sha256(contract.evm.bytecode.object),
      abi: contract.abi,
      bytecode: `0x${contract.evm.bytecode.object}`,
      deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
    };
  });
}

const destination = process.argv[2];
if (destination === undefined) {
  process.stderr.write("usage: node compile.js DIRECTORY\n");
  process.exit(2);
}
fs.mkdirSync(destination, { recursive: true });
for (const artefact of compile()) {
  const file = path.join(destination, `${artefact.contractName}.json`);
  fs.writeFileSync(file, `${JSON.stringify(artefact, null, 2)}\n`);
  process.stdout.write(`${artefact.contractName}  ${artefact.bytecodeSha256}\n`);
}
