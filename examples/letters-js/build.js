// Makes target/components/letters.wasm of src/service.js and the contracts in wit/.

import { componentize, version } from '@bytecodealliance/componentize-js';
import { mkdir, readFile, writeFile } from 'node:fs/promises';

const here = (path) => new URL(path, import.meta.url).pathname;
const output = here('../../target/components/letters.wasm');

const { component } = await componentize({
  sourcePath: here('src/service.js'),
  witPath: here('wit'),
  worldName: 'service',
  // Without these the engine needs nothing of WASI, which no host of Ward offers. What is missed is in ward:host.
  disableFeatures: ['stdio', 'random', 'clocks', 'http', 'fetch-event'],
});

const present = await readFile(output).catch(() => Buffer.alloc(0));
if (!present.equals(component)) {
  await mkdir(here('../../target/components'), { recursive: true });
  await writeFile(output, component);
}
console.log(`${output} (${Math.round(component.length / 1024)} KiB, componentize-js ${version})`);
