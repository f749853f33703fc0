/**
 * Writes fragments and log records as fast as it can and says on stdout what was acknowledged, until it is killed.
 * Arguments: folder, first stripe number of this round.
 */
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { AppendLogs, SlabStore } from '../../src/index.ts'
import { crashStore, logContext, logIdOf, logSource } from './crash-setup.ts'
import { fragmentOf, keyOf } from './fragments.ts'

const folder = process.argv[2]!
let next = Number(process.argv[3])
const store = await SlabStore.open(join(folder, 'slabs'), crashStore)
const logs = await AppendLogs.open(join(folder, 'logs'), { bytesMax: 2 ** 24, keepFreeBytes: 0 })

/** Synchronous: what was said was said before the kill. */
const say = (line: string): void => void writeSync(1, `${line}\n`)

async function puts(): Promise<void> {
  for (;;) {
    const stripe = next++
    // Every third is small enough for LMDB.
    await store.put(keyOf(stripe), fragmentOf(stripe, stripe % 3 === 0 ? 60 : 65_536))
    say(`put ${stripe}`)
    if (stripe % 2 === 0) {
      say(`deleting ${stripe}`)
      await store.delete(keyOf(stripe))
      say(`deleted ${stripe}`)
    }
  }
}

async function appends(log: number): Promise<void> {
  let position = logs.info(logIdOf(log))?.bytes ?? 0
  for (;;) {
    const end = position + 1 + ((position * 7) % 5000)
    position = await logs.append(logIdOf(log), logContext, position, logSource(log).subarray(position, end))
    say(`log ${log} ${position}`)
    if (position >= logSource(log).length) return
  }
}

void store.fillOne()
await Promise.all([puts(), puts(), puts(), puts(), appends(1), appends(2)])
