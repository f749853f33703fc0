/**
 * What frames cost, beside `node:tls` sending the same bytes without frames. Both ends run in this process on one
 * thread, so CPU time is that of both together. Rounds are interleaved; the ratio is of medians.
 *
 *     node --conditions=@cumulus/source platform/network/bench/frames.ts [rounds] [MiB per round] [requests per round]
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { FRAME_BODY_BYTES_MAX } from '../src/frame.ts'
import { dial, FrameOp, listen, PeerIdentity, type Session } from '../src/index.ts'
import { tlsOptionsOf } from '../src/tls.ts'

const [rounds = 5, mebibytes = 512, requests = 20_000] = process.argv.slice(2).map(Number)
const bodyCount = Math.max(1, Math.round((mebibytes * 2 ** 20) / FRAME_BODY_BYTES_MAX))
const body = new Uint8Array(FRAME_BODY_BYTES_MAX).fill(7)
const small = new Uint8Array(4096).fill(9)
const into = new Uint8Array(FRAME_BODY_BYTES_MAX)
const received = new Uint8Array(FRAME_BODY_BYTES_MAX)

const identity = PeerIdentity.create()
const handlers = {
  [FrameOp.get]: () => ({ body }),
  [FrameOp.put]: () => ({}),
  [FrameOp.logAppend]: () => ({ body: small }),
}
const bodyBuffers = { take: () => received, giveBack: () => undefined }
const sessions: Session[] = []
const listener = await listen({
  host: '127.0.0.1',
  port: 0,
  identity,
  handlers,
  bodyBuffers,
  onSession: (session) => sessions.push(session),
})
const address = { host: '127.0.0.1', port: listener.port, peerKey: identity.publicKey }
const dialled = await dial({ address, identity: PeerIdentity.create(), handlers, bodyBuffers })
const accepted = sessions[0]!

const options = { ...tlsOptionsOf(identity), rejectUnauthorized: false }
const server = createServer(options).listen(0, '127.0.0.1')
await once(server, 'listening')
const plain = connect({ ...options, host: '127.0.0.1', port: (server.address() as AddressInfo).port })
const [plainServer] = (await once(server, 'secureConnection')) as [TLSSocket]

/** The same bytes through bare sockets, in writes of a whole body. */
async function raw(from: TLSSocket, to: TLSSocket): Promise<void> {
  let left = bodyCount * body.length
  const done = Promise.withResolvers<void>()
  const onData = (chunk: Uint8Array): void => {
    left -= chunk.length
    if (left === 0) done.resolve()
  }
  to.on('data', onData)
  for (let i = 0; i < bodyCount; i++) await new Promise((resolve) => from.write(body, resolve))
  await done.promise
  to.off('data', onData)
}

async function transfer(session: Session, op: FrameOp): Promise<void> {
  for (let i = 0; i < bodyCount; i++) {
    if (op === FrameOp.get) await session.request(op, {}, { into })
    else await session.request(op, { body })
  }
}

async function manySmall(session: Session): Promise<void> {
  let left = requests
  const worker = async (): Promise<void> => {
    while (left-- > 0) await session.request(FrameOp.logAppend, { body: small })
  }
  await Promise.all(Array.from({ length: 32 }, worker))
}

const cases: Record<string, () => Promise<void>> = {
  'bare node:tls, client to server': () => raw(plain, plainServer),
  'bare node:tls, server to client': () => raw(plainServer, plain),
  'put by the dialling side': () => transfer(dialled, FrameOp.put),
  'put by the listening side (received with onread)': () => transfer(accepted, FrameOp.put),
  'get by the dialling side (received with onread)': () => transfer(dialled, FrameOp.get),
  'get by the listening side': () => transfer(accepted, FrameOp.get),
  '4 KiB each way, 32 in flight': () => manySmall(dialled),
}
const seconds = new Map<string, { cpu: number; wall: number }[]>(Object.keys(cases).map((name) => [name, []]))
for (let round = 0; round <= rounds; round++) {
  for (const [name, run] of Object.entries(cases)) {
    const before = process.cpuUsage()
    const startMs = performance.now()
    await run()
    const { user, system } = process.cpuUsage(before)
    const wall = (performance.now() - startMs) / 1000
    if (round > 0) seconds.get(name)!.push({ cpu: (user + system) / 1e6, wall }) // the first round warms up
  }
}
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!
const gigabytes = (bodyCount * body.length) / 1e9
const reference = median(seconds.get('bare node:tls, server to client')!.map(({ cpu }) => cpu))
const lines: string[] = []
for (const [name, samples] of seconds) {
  const cpu = median(samples.map((sample) => sample.cpu))
  const wall = median(samples.map((sample) => sample.wall))
  const spread = samples.map((sample) => sample.cpu).sort((a, b) => a - b)
  lines.push(
    name.startsWith('4 KiB')
      ? `${name}: ${Math.round(requests / wall)}/s, ${((cpu / requests) * 1e6).toFixed(1)} µs CPU each`
      : `${name}: ${(cpu / gigabytes).toFixed(2)} CPU s/GB (${(spread[0]! / gigabytes).toFixed(2)}..${(spread.at(-1)! / gigabytes).toFixed(2)}), ${(cpu / reference).toFixed(2)} of bare, ${(gigabytes / wall).toFixed(2)} GB/s`,
  )
}
process.stdout.write(`${lines.join('\n')}\n`)
dialled.close()
plain.destroy()
server.close()
await listener.close()
