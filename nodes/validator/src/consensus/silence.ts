import { closeSync, fsyncSync, openSync, writeFileSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { exists } from './log-disk.ts'
import { LOG_FILE } from './next-log.ts'

/**
 * There once the member has met a block of its own that it did not sign, with the round of that block. The log holds such blocks
 * too, but not all that somebody else may have signed: going on from it would be signing rounds twice. So it is honoured as long
 * as there is a log; whoever removes it says that nobody else has the keys now, and the member asks the others what was signed.
 */
const FILE = 'SILENT'

/** For logs and status pages: what an operator does about it. */
export const SILENCE_ADVICE =
  "stop the other process that has this member's keys, then remove order/wal.log of this one and start it again: it asks the others what was signed"

/** Before it returns it is on the disk. Blocks the process for some ms, once. */
export function writeSilence(folder: string, round: number): void {
  const dir = join(folder, 'order')
  const file = openSync(join(dir, FILE), 'w', 0o600)
  try {
    writeFileSync(file, `${round}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  const entry = openSync(dir, 'r')
  try {
    fsyncSync(entry)
  } finally {
    closeSync(entry)
  }
}

/** The round in which the member fell silent; undefined if it may sign. Before the log is opened: without one, there is silence no longer. */
export async function readSilence(folder: string): Promise<number | undefined> {
  const dir = join(folder, 'order')
  const text = await textOf(join(dir, FILE))
  if (text === undefined) return undefined
  // A file that a crash left empty was about to say the same.
  if (await exists(join(dir, LOG_FILE))) return /^\d+\n$/.test(text) ? Number(text) : 0
  await rm(join(dir, FILE))
  return undefined
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
