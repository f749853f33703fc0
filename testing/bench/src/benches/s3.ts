import { execFile } from 'node:child_process'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { NetworkProcess } from '@cumulus/cli'
import type { Bench, BenchContext } from '../bench.ts'
import { BenchError } from '../bench-error.ts'
import { LocalNetwork } from '../local-network.ts'
import { Nginx } from '../nginx.ts'
import { inFlight, ObjectClient } from '../object-client.ts'
import { Pattern } from '../pattern.ts'
import { CpuMeter, memoryHighWater } from '../process-usage.ts'
import { type BenchReport, type Row, rowsOf, target } from '../report.ts'
import { type Case, formatNumber, type RoundsInit, runRounds, spreadOf } from '../rounds.ts'

const run = promisify(execFile)

const MIB = 2 ** 20
const SMALL_BYTES = 4096
const IN_FLIGHT = 32
const KILLED_COUNT = 8
const BUCKET = 'bench'

const sizes = {
  tiny: { bigBytes: 3 * MIB + 1, smallCount: 64, rounds: 1, settleMs: 20, writtenSeconds: 0, space: 256 * MIB },
  small: { bigBytes: 256 * MIB, smallCount: 4_000, rounds: 2, settleMs: 500, writtenSeconds: 150, space: 384 * MIB },
  full: {
    bigBytes: 1024 * MIB,
    smallCount: 20_000,
    rounds: 3,
    settleMs: 1_000,
    writtenSeconds: 480,
    space: 1280 * MIB,
  },
}

const COPY = 'cp and fsync'
const PUT_UNSIGNED = 'PUT big, unsigned'
const SEGMENT_BYTES = 32 * MIB
/** For the tags of one object to be made, checked and confirmed. */
const TAGGED_SECONDS_MAX = 300
const FILES = 'write and fsync'

/**
 * Objects through S3 against a network of real processes, beside `cp` and nginx on the same disk in the same rounds.
 * Every byte that comes back is compared, every ETag too.
 */
export const s3Bench: Bench = async (context) => {
  if (process.platform !== 'linux') throw new BenchError('NOT_HERE', 'CPU time of other processes is read from /proc')
  const startMs = performance.now()
  const folder = await mkdtemp(join(tmpdir(), 'cumulus-bench-reference-'))
  let nginx: Nginx | string = 'not started'
  let network: LocalNetwork | undefined
  try {
    nginx = await Nginx.start(join(folder, 'nginx'), context.signal)
    network = await LocalNetwork.start({ ...context, space: sizes[context.size].space })
    const report = await measure({ context, folder, nginx, network })
    return { ...report, seconds: (performance.now() - startMs) / 1000 }
  } finally {
    await network?.remove(context.progress)
    if (typeof nginx !== 'string') await nginx.stop()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

interface Stage {
  readonly context: BenchContext
  readonly folder: string
  readonly nginx: Nginx | string
  readonly network: LocalNetwork
}

async function measure(stage: Stage): Promise<BenchReport> {
  const { context, network, nginx } = stage
  const { signal, size, progress, only } = context
  const { rounds, settleMs, writtenSeconds } = sizes[size]
  const miners = network.processes('miner')
  const pids = (entries: readonly NetworkProcess[]) => entries.map(({ pid }) => pid)
  const meter = new CpuMeter({
    gateway: CpuMeter.processes(pids(network.processes('gateway'))),
    miners: CpuMeter.processes(pids(miners)),
    validators: CpuMeter.processes(pids(network.processes('validator'))),
    taggers: CpuMeter.processes(pids(network.processes('tee-worker'))),
    client: CpuMeter.ourselves(),
    command: CpuMeter.commands(),
    nginx: typeof nginx === 'string' ? () => 0 : CpuMeter.processes(nginx.pids),
  })
  const user = network.file.s3.users[0]!
  const { hostname, port } = new URL(network.file.s3.endpoint)
  const credentials = { ...user, region: network.file.s3.region }
  const clients: Clients = {
    s3: new ObjectClient({ host: hostname, port: Number(port), credentials, signal }),
    nginx: typeof nginx === 'string' ? undefined : new ObjectClient({ host: '127.0.0.1', port: nginx.port, signal }),
  }
  const notes: string[] = []
  const skipped = typeof nginx === 'string' ? [`nginx: ${nginx}`] : []
  const memory: Record<string, number> = {}
  const lookAtMemory = (when: string) => {
    const all = network.file.processes.flatMap(({ name, pid }) => {
      const bytes = memoryHighWater(pid)
      return bytes === undefined ? [] : [[name, bytes] as const]
    })
    for (const [name, bytes] of all) memory[name] = Math.max(bytes, memory[name] ?? 0)
    const most = Math.max(...all.filter(([name]) => name.startsWith('miner')).map(([, bytes]) => bytes))
    const of = (role: string) => all.find(([name]) => name.startsWith(role))?.[1] ?? 0
    notes.push(
      `most resident memory ${when}: gateway ${Math.round(of('gateway') / MIB)} MiB, largest miner ${Math.round(most / MIB)} MiB, validator ${Math.round(of('validator') / MIB)} MiB`,
    )
  }
  try {
    await clients.s3.call(clients.s3.head('PUT', `/${BUCKET}`))
    notes.push(await idleCellsWritten(network, writtenSeconds, context))
    lookAtMemory('before the first object')
    notes.push(await describeBackground(meter, settleMs * 4, signal))
    const init = { meter, settleMs, deadlineMs: context.deadlineMs, signal, progress }
    const wanted = (cases: readonly Case[]) => cases.filter(({ name }) => only === undefined || name.includes(only))
    const rows: Row[] = []
    const phase = async (cases: readonly Case[], killed: readonly NetworkProcess[] = []) => {
      if (cases.length === 0) return
      try {
        rows.push(...rowsOf(await runRounds(cases, { ...init, rounds })))
      } catch (error) {
        // What was measured before it is worth telling.
        if (!(error instanceof BenchError && error.code === 'OUT_OF_TIME') || rows.length === 0) throw error
        skipped.push(`${cases.map(({ name }) => name).join('; ')}: ${error.message}`)
      } finally {
        network.assertRunning(killed)
      }
    }
    const big = await bigCases(stage, clients)
    if (context.tagging) {
      const put = big.healthy.find(({ name }) => name === PUT_UNSIGNED)!
      const { rows: both, note } = await measureTagging(put, stage, { ...init, rounds })
      return {
        bench: 's3',
        size,
        seconds: 0,
        rows: both,
        targets: [],
        memoryHighWater: memory,
        skipped: [],
        notes: [...notes, note],
      }
    }
    const small = smallCases(stage, clients)
    await phase(wanted(big.healthy))
    if (rows.length > 0) lookAtMemory('after the big objects')
    await phase(wanted(small.healthy))
    lookAtMemory('after the small ones')
    if (wanted([...big.degraded, ...small.degraded]).length > 0) {
      await big.keep()
      await small.keep()
      const killed = miners.slice(0, KILLED_COUNT)
      progress(`kill -9 of ${killed.length} of ${miners.length} miners`)
      await network.kill(killed)
      await phase(wanted([...big.degraded, ...small.degraded]), killed)
      lookAtMemory('at the end')
    }
    return {
      bench: 's3',
      size,
      seconds: 0,
      rows,
      targets: targetsOf(rows, memory),
      memoryHighWater: memory,
      skipped,
      notes: [
        ...notes,
        `objects of ${formatNumber(sizes[size].bigBytes / MIB)} MiB, one at a time; of 4 KiB, ${sizes[size].smallCount} a round, ${IN_FLIGHT} in flight; CPU counts until ${settleMs} ms after the last answer`,
        'requests to 4 KiB objects are signed, and bodies hashed, before the clock starts; nginx writes do not fsync',
        'every body that came back was compared byte by byte, ETags of the big objects with their MD5',
      ],
    }
  } finally {
    clients.s3.close()
    clients.nginx?.close()
  }
}

interface Clients {
  readonly s3: ObjectClient
  readonly nginx: ObjectClient | undefined
}

interface Cases {
  readonly healthy: readonly Case[]
  readonly degraded: readonly Case[]
  /** Stores what the degraded cases read. */
  keep(): Promise<void>
}

const s3Groups = ['gateway', 'miners', 'validators', 'taggers', 'client']

/** One object at a time, as large as the size says. */
async function bigCases({ context, folder }: Stage, { s3, nginx }: Clients): Promise<Cases> {
  const pattern = new Pattern(1, sizes[context.size].bigBytes)
  const md5 = pattern.digest('md5')
  const sha256 = pattern.digest('sha256')
  const bytes = pattern.bytes
  const done = { bytes, operations: 1, checksum: md5 }
  const source = join(folder, 'source')
  const target = join(folder, 'target')
  await writePattern(source, pattern)

  const path = (name: string) => `/${BUCKET}/big/${name}`
  const stored = new Set<string>()
  const put = async (name: string, payloadHash?: string) => {
    stored.add(name)
    const etag = await s3.put(s3.head('PUT', path(name), { bytes, payloadHash }), pattern)
    if (etag !== md5) throw new BenchError('WRONG_BYTES', `ETag of ${name} is ${etag} instead of ${md5}`)
    return done
  }
  const get = async (name: string) => {
    await s3.get(s3.head('GET', path(name)), pattern)
    return done
  }
  const remove = (name: string) => s3.call(s3.head('DELETE', path(name)))
  const references = [COPY]

  const cp: Case = {
    name: COPY,
    unit: 'MB/s',
    groups: ['command'],
    prepare: () => rm(target, { force: true }),
    run: async (_, signal) => {
      await run('sh', ['-c', 'cp -- "$1" "$2" && sync -- "$2"', 'sh', source, target], { signal })
      return done
    },
  }
  const putNginx = async () => {
    stored.add('/big')
    await nginx!.put(nginx!.head('PUT', '/big', { bytes }), pattern)
    return done
  }
  const nginxPut: Case | undefined = nginx && {
    name: 'nginx PUT big',
    unit: 'MB/s',
    groups: ['nginx', 'client'],
    references,
    prepare: () => (stored.has('/big') ? nginx.call(nginx.head('DELETE', '/big')) : undefined),
    run: putNginx,
  }
  const nginxGet = (when: string): Case | undefined =>
    nginx && {
      name: `nginx GET big${when}`,
      unit: 'MB/s',
      groups: ['nginx', 'client'],
      prepare: async () => {
        if (!stored.has('/big')) await putNginx()
      },
      run: async () => {
        await nginx.get(nginx.head('GET', '/big'), pattern)
        return done
      },
    }
  const putCase = (name: string, payloadHash?: string): Case => ({
    name: `PUT big, ${name}`,
    unit: 'MB/s',
    groups: s3Groups,
    references: [COPY, 'nginx PUT big'],
    // What the round before has stored makes room.
    prepare: () => (stored.has(name) ? remove(name) : undefined),
    run: () => put(name, payloadHash),
  })
  return {
    healthy: [
      cp,
      nginxPut,
      nginxGet(''),
      putCase('unsigned'),
      {
        name: 'GET big',
        unit: 'MB/s' as const,
        groups: s3Groups,
        references: [COPY, 'nginx GET big'],
        // With --only, nobody may have put it.
        prepare: async () => {
          if (!stored.has('unsigned')) await put('unsigned')
        },
        run: () => get('unsigned'),
      },
      putCase('signed', sha256),
    ].filter((entry) => entry !== undefined),
    degraded: [
      nginxGet(' again'),
      {
        name: 'GET big, 8 of 12 miners gone',
        unit: 'MB/s' as const,
        groups: s3Groups,
        references: ['nginx GET big again'],
        run: () => get('kept'),
      },
    ].filter((entry) => entry !== undefined),
    keep: async () => {
      await put('kept')
    },
  }
}

/** Many objects of 4 KiB, 32 requests in flight. */
function smallCases({ context, folder }: Stage, { s3, nginx }: Clients): Cases {
  const count = sizes[context.size].smallCount
  const patterns = Array.from({ length: count }, (_, i) => new Pattern(i + 2, SMALL_BYTES))
  const sha256s = patterns.map((pattern) => pattern.digest('sha256'))
  const done = { bytes: count * SMALL_BYTES, operations: count, checksum: sha256s[0]!.slice(0, 32) }
  const path = (kind: string, round: number, i: number) => `/${BUCKET}/small-${kind}-${round}/${i}`
  const stored = new Set<string>()
  let heads: string[] = []
  const eachHead = (make: (i: number) => string) => {
    heads = patterns.map((_, i) => make(i))
    stored.add(heads[0]!.split(' ')[1]!)
  }
  const putAll = (client: ObjectClient) =>
    inFlight(count, IN_FLIGHT, async (i) => {
      await client.put(heads[i]!, patterns[i]!)
    })

  const puts = (client: ObjectClient, name: string, pathOf: (round: number, i: number) => string, signed = false) => ({
    name,
    unit: 'per s' as const,
    groups: client === nginx ? ['nginx', 'client'] : s3Groups,
    prepare: (round: number) =>
      eachHead((i) =>
        client.head('PUT', pathOf(round, i), {
          bytes: SMALL_BYTES,
          payloadHash: signed ? sha256s[i] : undefined,
        }),
      ),
    run: async () => {
      await putAll(client)
      return done
    },
  })
  const gets = (client: ObjectClient, name: string, pathOf: (round: number, i: number) => string) => ({
    name,
    unit: 'per s' as const,
    groups: client === nginx ? ['nginx', 'client'] : s3Groups,
    prepare: async () => {
      // With --only, nobody may have put them.
      if (!stored.has(pathOf(0, 0))) {
        eachHead((i) => client.head('PUT', pathOf(0, i), { bytes: SMALL_BYTES }))
        await putAll(client)
      }
      eachHead((i) => client.head('GET', pathOf(0, i)))
    },
    run: async () => {
      await inFlight(count, IN_FLIGHT, (i) => client.get(heads[i]!, patterns[i]!))
      return done
    },
  })
  const files: Case = {
    name: FILES,
    unit: 'per s',
    groups: ['client'],
    run: async (round) => {
      await inFlight(count, IN_FLIGHT, (i) => writePattern(join(folder, `small-${round}-${i}`), patterns[i]!))
      return done
    },
  }
  const nginxPath = (round: number, i: number) => `/small-${round}-${i}`
  const unsignedPath = (round: number, i: number) => path('unsigned', round, i)
  return {
    healthy: [
      files,
      ...(nginx ? [puts(nginx, 'nginx PUT 4 KiB', nginxPath), gets(nginx, 'nginx GET 4 KiB', nginxPath)] : []),
      { ...puts(s3, 'PUT 4 KiB, unsigned', unsignedPath), references: [FILES, 'nginx PUT 4 KiB'] },
      { ...gets(s3, 'GET 4 KiB', unsignedPath), references: ['nginx GET 4 KiB'] },
      {
        ...puts(s3, 'PUT 4 KiB, signed', (round, i) => path('signed', round, i), true),
        references: [FILES, 'nginx PUT 4 KiB'],
      },
    ],
    degraded: [gets(s3, 'GET 4 KiB, 8 of 12 miners gone', (_, i) => path('kept', 0, i))],
    keep: async () => {
      eachHead((i) => s3.head('PUT', path('kept', 0, i), { bytes: SMALL_BYTES }))
      await putAll(s3)
    },
  }
}

/** Durable when it returns. */
async function writePattern(file: string, pattern: Pattern): Promise<void> {
  const handle = await open(file, 'w')
  try {
    for (const piece of pattern.pieces()) await handle.write(piece)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Waits until miners have written their idle cells: later writes go over blocks that exist, which is how a miner lives
 * all its life but the first minutes, and the writing costs CPU time that is no object's. Returns what came of it.
 */
async function idleCellsWritten(network: LocalNetwork, secondsMax: number, context: BenchContext): Promise<string> {
  const endMs = Math.min(context.deadlineMs, performance.now() + secondsMax * 1000)
  for (let saidMs = performance.now(); ; ) {
    const shares = await Promise.all(network.processes('miner').map((miner) => writtenShare(miner.ports['admin'])))
    const least = Math.min(...shares)
    const text = `${Math.round(least * 100)} % of the idle cells are written, at the miner that has fewest`
    if (least >= 1 || performance.now() >= endMs) return `before the first object, ${text}`
    if (performance.now() - saidMs > 15_000) {
      saidMs = performance.now()
      context.progress(text)
    }
    await sleep(500, undefined, { signal: context.signal })
  }
}

async function writtenShare(adminPort: number | undefined): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/status`, { signal: AbortSignal.timeout(20_000) })
  const { units } = (await response.json()) as { units: { written: number; declared: number } }
  return units.written / units.declared
}

/**
 * The same object put while the TEE worker works, its time counted until every miner has confirmed all tags; and after
 * kill -9 of the worker, counted for as long.
 */
async function measureTagging(
  put: Case,
  { network, context }: Stage,
  init: RoundsInit,
): Promise<{ rows: Row[]; note: string }> {
  const [worker] = network.processes('tee-worker')
  const waitedMs: number[] = []
  let before = 0
  const tagged: Case = {
    ...put,
    name: 'PUT big, tagged',
    references: [],
    prepare: async (round) => {
      await put.prepare?.(round)
      before = (await statusOf<WorkerStatus>(worker!)).tagged
    },
    settle: async (signal) => {
      const startMs = performance.now()
      await allTagged(network, before + Math.floor(sizes[context.size].bigBytes / SEGMENT_BYTES), signal)
      waitedMs.push(performance.now() - startMs)
    },
  }
  const untagged: Case = {
    ...put,
    name: 'PUT big, TEE worker gone',
    references: [],
    settle: (signal) => sleep(spreadOf(waitedMs).median, undefined, { signal }),
  }
  const rows = rowsOf(await runRounds([tagged], init))
  await network.kill([worker!])
  rows.push(...rowsOf(await runRounds([untagged], init)))
  network.assertRunning([worker!])
  const cost = (group: string) => formatNumber(rows[0]!.cpu!.groups[group]! - rows[1]!.cpu!.groups[group]!)
  const groups = ['taggers', 'miners', 'validators', 'gateway'].map((group) => `${group} ${cost(group)}`)
  const seconds = formatNumber(spreadOf(waitedMs).median / 1000)
  return {
    rows,
    note: `tagging costs, in CPU s/GB of objects, what was spent with the TEE worker less what was spent without: ${groups.join(', ')}; all tags were confirmed ${seconds} s after the answer, and audits of that time are in both`,
  }
}

interface WorkerStatus {
  readonly tagged: number
  readonly tagBacklog: number
  readonly undelivered: number
}

/** @throws BenchError OUT_OF_TIME */
async function allTagged(network: LocalNetwork, least: number, signal: AbortSignal): Promise<void> {
  const [worker] = network.processes('tee-worker')
  const giveUpAtMs = performance.now() + TAGGED_SECONDS_MAX * 1000
  for (;;) {
    const { tagged, tagBacklog, undelivered } = await statusOf<WorkerStatus>(worker!)
    if (tagged >= least && tagBacklog === 0 && undelivered === 0) {
      const miners = await Promise.all(
        network.processes('miner').map((entry) => statusOf<{ audit: { tagBacklog: number } }>(entry)),
      )
      if (miners.every(({ audit }) => audit.tagBacklog === 0)) return
    }
    if (performance.now() > giveUpAtMs) {
      throw new BenchError('OUT_OF_TIME', `after ${TAGGED_SECONDS_MAX} s, ${tagged} of ${least} stripes are tagged`)
    }
    await sleep(200, undefined, { signal })
  }
}

async function statusOf<Status>({ ports }: NetworkProcess): Promise<Status> {
  const response = await fetch(`http://127.0.0.1:${ports['admin']}/status`, { signal: AbortSignal.timeout(20_000) })
  return (await response.json()) as Status
}

/** What the processes spend while nobody asks anything. */
async function describeBackground(meter: CpuMeter, ms: number, signal: AbortSignal): Promise<string> {
  const before = meter.read()
  await sleep(ms, undefined, { signal })
  const after = meter.read()
  const shares = ['gateway', 'miners', 'validators', 'taggers'].map(
    (group) => `${group} ${formatNumber(((after[group]! - before[group]!) / ms) * 1e5)} %`,
  )
  return `background before the first object, of one core: ${shares.join(', ')} (in the figures below, not taken off)`
}

/** Network processes together; the client apart, as a real one sits elsewhere. */
function serverCpu(row: Row): number {
  const { gateway = 0, miners = 0, validators = 0, taggers = 0 } = row.cpu!.groups
  return gateway + miners + validators + taggers
}

function targetsOf(rows: readonly Row[], memory: Readonly<Record<string, number>>) {
  const with_ = <T>(name: string, make: (row: Row) => T): T[] => {
    const row = rows.find((candidate) => candidate.name === name)
    return row ? [make(row)] : []
  }
  return [
    ...with_('PUT big, unsigned', (row) =>
      target('PUT, all processes but the client', 's/GB', true, 9.5, serverCpu(row)),
    ),
    ...with_('GET big', (row) => target('GET, all processes but the client', 's/GB', true, 5.5, serverCpu(row))),
    ...with_('PUT 4 KiB, unsigned', (row) => target('PUT 4 KiB', 'per s', false, 5_000, row.spread.median)),
    ...with_('GET 4 KiB', (row) => target('GET 4 KiB', 'per s', false, 15_000, row.spread.median)),
    ...Object.entries(memory)
      .filter(([name]) => name.startsWith('gateway'))
      .map(([name, bytes]) => target(`memory of ${name}`, 'MiB', true, 512, bytes / MIB)),
  ]
}
