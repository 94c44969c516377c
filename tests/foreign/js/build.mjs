// node build.mjs SOURCE WIT_FOLDER OUT: makes a component of SOURCE with componentize-js.
import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [sourcePath, witPath, out] = process.argv.slice(2);
const { component } = await componentize({ sourcePath, witPath, worldName: "app" });
await writeFile(out, component);
