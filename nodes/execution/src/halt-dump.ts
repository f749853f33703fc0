import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type DecidedBatch, LedgerHalt } from '@cumulus/ledger'

/** Errors below errors are followed this deep. */
const CAUSES_MAX = 8

/**
 * Writes down why a block could not be executed, with everything needed to execute it again elsewhere: the batch, the
 * transaction it was at, what had changed by then, and the stacks of all errors. The state itself is in the store, as it
 * was before the block.
 *
 * @returns the file
 */
export async function writeHaltDump(dir: string, batch: DecidedBatch, error: unknown): Promise<string> {
  const scene = error instanceof LedgerHalt ? error.scene : undefined
  const dump = {
    format: 'cumulus/halt/1',
    errors: errorsOf(error),
    scene,
    batch: {
      ...batch,
      transactions: batch.transactions.map((tx) => (tx instanceof Uint8Array ? tx : tx.raw)),
    },
  }
  await mkdir(dir, { recursive: true })
  const file = join(dir, `halt-${batch.number}.json`)
  await writeFile(file, `${JSON.stringify(dump, (_, value) => plain(value), 1)}\n`)
  return file
}

function errorsOf(error: unknown): object[] {
  const errors: object[] = []
  for (let at = error; at !== undefined && errors.length < CAUSES_MAX; ) {
    if (!(at instanceof Error)) {
      errors.push({ message: String(at) })
      break
    }
    const { name, message, stack } = at
    // Some say more than a message: where two blocks differ, for one.
    const details = 'toJSON' in at && typeof at.toJSON === 'function' ? (at.toJSON() as object) : undefined
    errors.push({ name, message, stack, details })
    at = at.cause
  }
  return errors
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Uint8Array ? `0x${value.toHex()}` : value
}
