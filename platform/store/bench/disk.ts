/**
 * What the disk costs, by the way it is written: run as `node --conditions=@cumulus/source platform/store/bench/disk.ts [cells] [appends]`.
 * Rounds are interleaved, and every figure is of durable bytes.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blake3 } from '@cumulus/hash'
import { AlignedPool, AppendLogs, nodeFiles } from '../src/index.ts'

const CELL_BYTES = 8 * 2 ** 20
const cellCount = Number(process.argv[2] ?? 24)
const appendCount = Number(process.argv[3] ?? 6000)
const IN_FLIGHT = 4
const ROUNDS = 3

const folder = await mkdtemp(join(tmpdir(), 'cumulus-disk-'))
const pool = new AlignedPool({ bufferBytes: CELL_BYTES, count: IN_FLIGHT })
const buffers = Array.from({ length: IN_FLIGHT }, () => pool.tryTake()!)
for (const [i, buffer] of buffers.entries()) {
  let block = blake3(new Uint8Array([i]))
  for (let at = 0; at < buffer.length; at += 32) buffer.set((block = blake3(block)), at)
}

interface Figure {
  readonly megabytesPerSecond: number
  readonly cpuSecondsPerGigabyte: number
}

async function measure(bytes: number, work: () => Promise<void>): Promise<Figure> {
  const cpu = process.cpuUsage()
  const start = performance.now()
  await work()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return { megabytesPerSecond: bytes / 1e6 / seconds, cpuSecondsPerGigabyte: ((user + system) / 1e6 / bytes) * 1e9 }
}

async function writeCells(path: string, direct: boolean): Promise<Figure> {
  const file = await nodeFiles.open(path, { direct })
  const figure = await measure(cellCount * CELL_BYTES, async () => {
    for (let cell = 0; cell < cellCount; cell += IN_FLIGHT) {
      await Promise.all(buffers.map((buffer, i) => file.write(buffer, (cell + i) * CELL_BYTES)))
      await file.sync()
    }
  })
  await file.close()
  return figure
}

async function readCells(path: string, direct: boolean): Promise<Figure> {
  const file = await nodeFiles.open(path, { direct })
  const figure = await measure(cellCount * CELL_BYTES, async () => {
    for (let cell = 0; cell < cellCount; cell += IN_FLIGHT) {
      await Promise.all(buffers.map((buffer, i) => file.read(buffer, (cell + i) * CELL_BYTES)))
    }
  })
  await file.close()
  return figure
}

async function appendRecords(inFlight: number, count: number): Promise<number> {
  const logs = await AppendLogs.open(join(folder, `logs-${inFlight}`), { bytesMax: 2 ** 30, keepFreeBytes: 0 })
  const bytes = new Uint8Array(4096)
  const id = new Uint8Array(32).fill(inFlight)
  const context = { territory: 1n, note: new Uint8Array(0) }
  const start = performance.now()
  let next = 0
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (next < count) await logs.append(id, context, next++ * bytes.length, bytes)
    }),
  )
  const perSecond = count / ((performance.now() - start) / 1000)
  await logs.drop(id)
  await logs.close()
  return perSecond
}

const figures = new Map<string, Figure[]>()
const note = (name: string, figure: Figure): void => void figures.set(name, [...(figures.get(name) ?? []), figure])
const slab = join(folder, 'slab')
await writeCells(slab, false)
for (let round = 0; round < ROUNDS; round++) {
  note('overwrite, O_DIRECT', await writeCells(slab, true))
  note('overwrite, page cache', await writeCells(slab, false))
  const fresh = join(folder, `fresh-${round}`)
  note('fresh file, page cache', await writeCells(fresh, false))
  await rm(fresh)
  note('fresh file, O_DIRECT', await writeCells(fresh, true))
  note('read, O_DIRECT', await readCells(fresh, true))
  note('read, page cache, cold', await readCells(fresh, false))
  note('read, page cache, warm', await readCells(fresh, false))
  await rm(fresh)
}
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!
const base = median(figures.get('overwrite, page cache')!.map(({ megabytesPerSecond }) => megabytesPerSecond))
for (const [name, list] of figures) {
  const speed = median(list.map(({ megabytesPerSecond }) => megabytesPerSecond))
  const cpu = median(list.map(({ cpuSecondsPerGigabyte }) => cpuSecondsPerGigabyte))
  process.stdout.write(
    `${name.padEnd(24)} ${speed.toFixed(0).padStart(6)} MB/s  ${(speed / base).toFixed(2)}×  ${cpu.toFixed(3)} CPU s/GB\n`,
  )
}
for (const inFlight of [1, 32]) {
  const perSecond = await appendRecords(inFlight, inFlight === 1 ? Math.ceil(appendCount / 20) : appendCount)
  process.stdout.write(`4 KiB appends, ${inFlight} in flight: ${perSecond.toFixed(0)}/s\n`)
}
await rm(folder, { recursive: true })
