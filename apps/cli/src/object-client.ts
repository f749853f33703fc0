import { S3Client } from '@aws-sdk/client-s3'
import { CliError } from './command.ts'
import { NetworkFolder, type NetworkUser } from './network-folder.ts'

/** Settings of every command that speaks S3. */
export const objectSettings = {
  dir: { kind: 'text', help: 'folder of the local network', default: '.cumulus' },
  json: { kind: 'flag', help: 'print JSON', default: false },
  user: { kind: 'text', help: 'user of the local network', default: 'main' },
  endpoint: { kind: 'text', help: 'S3 endpoint elsewhere; keys are then AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY' },
} as const

interface Access {
  readonly dir: string
  readonly user: string
  readonly endpoint?: string | undefined
}

/** @throws CliError NO_NETWORK, NO_SUCH_USER, NO_CREDENTIALS */
export async function openObjects(access: Access): Promise<S3Client> {
  const { endpoint, accessKeyId, secretAccessKey } = access.endpoint
    ? fromEnvironment(access.endpoint)
    : await fromNetwork(access)
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 4,
  })
}

function fromEnvironment(endpoint: string) {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env
  if (!accessKeyId || !secretAccessKey) {
    throw new CliError(
      'NO_CREDENTIALS',
      'with --endpoint, keys come from the environment',
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
    )
  }
  return { endpoint, accessKeyId, secretAccessKey }
}

async function fromNetwork(access: Access) {
  const network = await new NetworkFolder(access.dir).read()
  const user: NetworkUser | undefined = network.s3.users.find((candidate) => candidate.name === access.user)
  if (!user) {
    throw new CliError(
      'NO_SUCH_USER',
      `no user "${access.user}" in this network`,
      `There are: ${network.s3.users.map((known) => known.name).join(', ')}.`,
    )
  }
  return { endpoint: network.s3.endpoint, accessKeyId: user.accessKey, secretAccessKey: user.secretKey }
}

/** `s3://bucket/key`, `bucket/key` or `bucket`. */
export function parseObjectPath(text: string): { bucket: string; key: string } {
  const path = text.replace(/^s3:\/\//, '')
  const slash = path.indexOf('/')
  const bucket = slash === -1 ? path : path.slice(0, slash)
  if (bucket === '')
    throw new CliError('BAD_PATH', `"${text}" names no bucket`, 'Write BUCKET/KEY, such as photos/2026/sea.jpg.')
  return { bucket, key: slash === -1 ? '' : path.slice(slash + 1) }
}

/** An SDK error as a person wants to read it. */
export function explainS3Error(error: unknown, what: string): CliError {
  const { name, message, code } = error as { name?: string; message?: string; code?: string }
  if (code === 'ECONNREFUSED' || name === 'TimeoutError') {
    return new CliError(
      'UNREACHABLE',
      `${what}: the gateway does not answer`,
      'See "cumulus status"; "cumulus up" starts what is not running.',
      { cause: error },
    )
  }
  const next: Record<string, string> = {
    NoSuchBucket: 'List buckets with "cumulus ls".',
    NoSuchKey: 'List keys with "cumulus ls BUCKET".',
    NotFound: 'List keys with "cumulus ls BUCKET".',
    QuotaExceeded: 'Delete objects, or expand the territory.',
    ServiceUnavailable: 'See "cumulus status": are enough miners running?',
  }
  return new CliError(
    name ?? 'S3_ERROR',
    `${what}: ${message && message !== 'UnknownError' ? message : name}`,
    next[name ?? ''],
    { cause: error },
  )
}
