import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { concatBytes } from '@cumulus/bytes'
import { encodeLogRecord, type R2s } from '@cumulus/r2s'
import type { Logger } from '@cumulus/service'
import type { ConsensusError } from './consensus-error.ts'

/**
 * Keeps what is known when a member stops because something is deeply wrong, in a folder of its own: `reason.json` with the
 * status of that moment, `window.log` with the last rounds as records of the log. Somebody has to find out who is wrong.
 */
export async function dumpHalt(
  folder: string,
  { code, message, details }: ConsensusError,
  core: R2s,
  status: object,
  log: Logger,
): Promise<void> {
  const dir = join(folder, 'order', `halt-${Date.now()}`)
  try {
    const records = [
      encodeLogRecord({ kind: 'checkpoint', checkpoint: core.checkpoint() }),
      ...core.coins().map((coin) => encodeLogRecord({ kind: 'coin', coin })),
      ...core.window().map((block) => encodeLogRecord({ kind: 'block', block })),
    ]
    await mkdir(dir, { recursive: true })
    await writeFile(join(dir, 'window.log'), concatBytes(...records))
    await writeFile(join(dir, 'reason.json'), `${JSON.stringify({ code, message, details, ...status }, plain, 2)}\n`)
    log.error('what was known is kept', { dir })
  } catch (error) {
    log.error('what was known could not be kept', { dir, error })
  }
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Uint8Array ? value.toHex() : value
}
