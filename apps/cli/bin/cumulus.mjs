#!/usr/bin/env node
// Starts cumulus under the pinned Node.js, whatever Node started this file.
// Plain JavaScript that Node 20 understands: everything else is TypeScript.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const main = join(here, '../src/main.ts')
const require = createRequire(import.meta.url)

function pinnedNode() {
  try {
    const found = join(
      dirname(require.resolve('node/package.json')),
      'bin',
      process.platform === 'win32' ? 'node.exe' : 'node',
    )
    if (existsSync(found)) return found
  } catch {}
  if (Number(process.versions.node.split('.')[0]) > 25) return process.execPath
  process.stderr.write(
    `cumulus: the pinned Node.js is not installed, and this one is ${process.version} (26 or later is needed).\n` +
      'Run "npm ci" in the folder of Cumulus, then try again.\n',
  )
  process.exit(78)
}

const child = spawn(pinnedNode(), ['--conditions=@cumulus/source', main, ...process.argv.slice(2)], {
  stdio: 'inherit',
})
// A terminal sends its signals to the whole group; other senders reach only this process: hand theirs on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', (error) => {
  process.stderr.write(`cumulus: cannot start Node.js: ${error.message}\n`)
  process.exit(71)
})
child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
