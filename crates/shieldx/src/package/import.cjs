// Loads what npm put into a folder, the way a program would: by require, and what is no CommonJS by
// import. Arguments: the folder, and the archive, folder or name that was installed.
const fs = require("fs");
const path = require("path");
const [folder, wanted] = process.argv.slice(1);
const read = (...parts) => JSON.parse(fs.readFileSync(path.join(folder, ...parts), "utf8"));
const asked = Object.entries(read("package.json").dependencies ?? {});
const isIt = ([name, from]) =>
  path.basename(from) === wanted || name === wanted || wanted.startsWith(`${name}@`);
const load = require("module").createRequire(path.join(folder, "index.js"));
const NO_COMMONJS = [
  "ERR_REQUIRE_ESM",
  "ERR_REQUIRE_ASYNC_MODULE",
  "ERR_PACKAGE_PATH_NOT_EXPORTED",
];

// Types and command lines have no module to load, which is no failure.
function hasNone(name) {
  const { main, module, exports } = read("node_modules", name, "package.json");
  const at = (file) => fs.existsSync(path.join(folder, "node_modules", name, file));
  return !main && !module && !exports && !["index.js", "index.json", "index.node"].some(at);
}

async function loadOne(name) {
  if (hasNone(name)) return console.error(`${name} has no module to load`);
  try {
    load(name);
  } catch (error) {
    if (!NO_COMMONJS.includes(error?.code)) throw error;
    await import(name);
  }
  console.error(`load ${name}: done`);
}

const names = asked.filter(isIt).map(([name]) => name);
if (names.length !== 1) {
  console.error(`${names.length} packages were installed from ${wanted}`);
  process.exit(1);
}
// An error that nobody catches ends the process with code 1 and its stack on standard error.
loadOne(names[0]);
