import { open } from 'node:fs/promises'
import { stripVTControlCharacters } from 'node:util'
import { sleep } from '@cumulus/service'
import type { NetworkProcess } from './network-folder.ts'
import { isRunning } from './processes.ts'

const LOOK_EACH_MS = 100
/** From the end of a log: a last error with its stack takes a few kilobytes. */
const TAIL_BYTES = 64 * 2 ** 10
const LINES_MAX = 5
const LINE_CHARACTERS_MAX = 300

/** The first process that does not run, as soon as there is one; undefined once `signal` aborts. */
export async function firstStopped<Entry extends Pick<NetworkProcess, 'pid' | 'command'>>(
  entries: readonly Entry[],
  { signal }: { signal: AbortSignal },
): Promise<Entry | undefined> {
  while (!signal.aborted) {
    const stopped = entries.find((entry) => !isRunning(entry))
    if (stopped) return stopped
    await sleep(LOOK_EACH_MS, signal).catch(() => {})
  }
  return undefined
}

/**
 * Why a process stopped, in the last words of its log: errors it logged, and what Node.js printed for it. Empty if there
 * are none.
 *
 * @param fromByte where its last run began; earlier ones had errors of their own
 */
export async function lastErrors(logFile: string, fromByte = 0): Promise<string[]> {
  let text: string
  try {
    const file = await open(logFile, 'r')
    try {
      const { size } = await file.stat()
      // A log that is shorter than it was has been moved aside.
      const from = Math.max(size < fromByte ? 0 : fromByte, size - TAIL_BYTES)
      const { bytesRead, buffer } = await file.read(Buffer.alloc(size - from), 0, size - from, from)
      text = buffer.subarray(0, bytesRead).toString()
    } finally {
      await file.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  const said = text.split('\n').flatMap(errorOf)
  return [...new Set(said)].slice(-LINES_MAX)
}

/** What a line says of an error, in one line; nothing if it is about something else, or part of a stack. */
function errorOf(line: string): string[] {
  const plain = stripVTControlCharacters(line).trim()
  if (plain === '' || /^(at |Node\.js v|[\^{}\]]+$)/.test(plain)) return []
  let said = plain
  if (plain.startsWith('{"')) {
    try {
      const { level, message, error } = JSON.parse(plain) as {
        level?: unknown
        message?: unknown
        error?: { code?: unknown; name?: unknown; message?: unknown }
      }
      if (level !== 'error') return []
      said = `${message}${error ? `: ${error.message ?? error} [${error.code ?? error.name}]` : ''}`
    } catch {
      // Cut off: shown as it is.
    }
  }
  return [said.length > LINE_CHARACTERS_MAX ? `${said.slice(0, LINE_CHARACTERS_MAX)}…` : said]
}
