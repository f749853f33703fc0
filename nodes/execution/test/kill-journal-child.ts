import { writeSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { createLogger } from '@cumulus/service'

// Writes a journal and is killed before its write number `step`; or in the middle of it, if it is one of bytes.
const [path, stepText, where] = process.argv.slice(2)
let left = Number(stepText)

/** Whether the next write is the last thing that this process does. */
function isLast(): boolean {
  return left-- === 0
}

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

const { open, rename } = fs
fs.open = async (...given) => {
  const file = await open(...given)
  const { appendFile, datasync } = file
  file.appendFile = async (data) => {
    if (isLast()) {
      const bytes = data as Uint8Array
      if (where === 'middle') await appendFile.call(file, bytes.subarray(0, bytes.length >> 1))
      die()
    }
    await appendFile.call(file, data)
  }
  file.datasync = async () => {
    if (isLast()) die()
    await datasync.call(file)
  }
  return file
}
fs.rename = async (...given) => {
  if (isLast()) die()
  await rename(...given)
}
syncBuiltinESMExports()

const { MempoolJournal } = await import('../src/mempool-journal.ts')
const { ENTRIES, KEPT } = await import('./kill-journal.ts')
const journal = new MempoolJournal(path!, createLogger({ name: 'journal', write: () => {} }))
const say = (done: string) => writeSync(1, `${done}\n`)
for (const [i, { raw, addedAtMs }] of ENTRIES.entries()) {
  await journal.append(raw, addedAtMs)
  say(`entry ${i}`)
  if (i !== 3) continue
  await journal.rewrite(KEPT.map((kept) => ENTRIES[kept]!))
  say('rewritten')
}
// As many writes as it has: nobody was killed.
process.exit(7)
