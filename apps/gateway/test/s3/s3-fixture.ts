import { connect } from 'node:net'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { createLogger, createMetrics, type Logger, type Metrics } from '@cumulus/service'
import type { ObjectLayer } from '../../src/object-layer.ts'
import type { S3Limits } from '../../src/s3/limits.ts'
import { type S3Server, startS3Server } from '../../src/s3/s3-server.ts'
import type { S3User } from '../../src/s3/user-directory.ts'
import { MemoryObjects } from './memory-objects.ts'

export const REGION = 'us-east-1'

export const MAIN: S3User = {
  accessKey: 'CUMULUSMAIN000000001',
  secretKey: 'main/secret+key00000000000000000000000001',
  owner: '0x1111111111111111111111111111111111111111',
  displayName: 'main',
  id: 'a'.repeat(64),
}

export const ALT: S3User = {
  accessKey: 'CUMULUSALT0000000002',
  secretKey: 'alt/secret+key000000000000000000000000002',
  owner: '0x2222222222222222222222222222222222222222',
  displayName: 'alt',
  id: 'b'.repeat(64),
}

export interface Fixture {
  readonly objects: MemoryObjects
  readonly server: S3Server
  readonly port: number
  readonly endpoint: string
  readonly metrics: Metrics
  readonly client: S3Client
  clientOf(user: S3User, config?: Partial<S3ClientConfig>): S3Client
  close(): Promise<void>
}

/** A front end over an object layer in memory, on a free port of the loopback. Closed by the suite. */
export async function startFixture(
  init: { limits?: Partial<S3Limits>; log?: Logger; layer?: (memory: MemoryObjects) => ObjectLayer } = {},
): Promise<Fixture> {
  const memory = new MemoryObjects()
  const objects: ObjectLayer = init.layer?.(memory) ?? memory
  const metrics = createMetrics()
  const users = new Map([MAIN, ALT].map((user) => [user.accessKey, user]))
  const abort = new AbortController()
  const server = await startS3Server(
    {
      host: '127.0.0.1',
      port: 0,
      objects,
      users: { byAccessKey: (accessKey) => users.get(accessKey) },
      region: REGION,
      hostSuffixes: ['localhost', 's3.test'],
      limits: { closeGraceMs: 200, ...init.limits },
      metrics,
      log: init.log ?? createLogger({ name: 's3-test', level: 'error' }),
    },
    { signal: abort.signal },
  )
  const endpoint = `http://127.0.0.1:${server.port}`
  const clients: S3Client[] = []
  const clientOf = (user: S3User, config: Partial<S3ClientConfig> = {}): S3Client => {
    const client = new S3Client({
      endpoint,
      region: REGION,
      forcePathStyle: true,
      credentials: { accessKeyId: user.accessKey, secretAccessKey: user.secretKey },
      maxAttempts: 1,
      ...config,
    })
    clients.push(client)
    return client
  }
  const close = async (): Promise<void> => {
    for (const client of clients) client.destroy()
    await server.close()
  }
  return { objects: memory, server, port: server.port, endpoint, metrics, client: clientOf(MAIN), clientOf, close }
}

/** Sends bytes on a bare socket and returns everything that comes back until the server closes or `until` is seen. */
export function rawExchange(
  port: number,
  bytes: (string | Buffer)[] | string | Buffer,
  until?: RegExp,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' && text !== '' ? resolve(text) : reject(error),
    )
    socket.on('close', () => resolve(text))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (until?.test(text)) {
        socket.destroy()
        resolve(text)
      }
    })
    for (const piece of Array.isArray(bytes) ? bytes : [bytes]) socket.write(piece)
  })
}

/** Code of an XML error answer. */
export function errorCode(answer: string): string | undefined {
  return /<Code>(\w+)<\/Code>/.exec(answer)?.[1]
}
