// Prints what AsyncAPI's own parser has to say of each document, as JSON; run it where the parser is installed.
const { readFileSync } = require("node:fs");
const { Parser } = require(require.resolve("@asyncapi/parser", { paths: [process.cwd()] }));

async function parsed(path) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"));
  const said = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path, message }));
  return { read: document !== undefined, said };
}

Promise.all(process.argv.slice(2).map(parsed)).then((answers) => console.log(JSON.stringify(answers)));
