import { stat } from 'node:fs/promises'
import { hexToBytes } from '@cumulus/bytes'
import { type Logger, readJsonFile, ServiceError, sleep, writeFileAtomic } from '@cumulus/service'
import type { OwnerId } from './object-layer.ts'
import type { S3User, UserDirectory } from './s3/index.ts'

/**
 * Somebody the gateway serves: what is needed to check signatures and to read and write the owner's data, and nothing
 * that could spend or grant. As it stands in the users file, all texts.
 */
export interface GatewayUser {
  readonly name: string
  /** Shown as Owner/ID. */
  readonly id: string
  readonly email: string
  /** Chain address. */
  readonly owner: OwnerId
  /** Decimal. */
  readonly territory: string
  /** 64 hex digits. */
  readonly dataKey: string
  readonly accessKey: string
  readonly secretKey: string
}

const USERS_MAX = 10_000
const POLL_MS = 500

/**
 * Users of a gateway, from one JSON file that is read again whenever it changes. Adding a user = replacing the file
 * (`addUser`), by whoever may write it: no port, no password, and the file is the only copy of the truth.
 */
export class UsersFile implements UserDirectory {
  readonly path: string
  readonly #log: Logger
  #byAccessKey = new Map<string, S3User>()
  #users: readonly GatewayUser[] = []
  #stamp = ''
  readonly #unavailable = new Map<OwnerId, string>()

  constructor(path: string, log: Logger) {
    this.path = path
    this.#log = log
  }

  get users(): readonly GatewayUser[] {
    return this.#users
  }

  byAccessKey(accessKey: string): S3User | undefined {
    const user = this.#byAccessKey.get(accessKey)
    const unavailable = user && this.#unavailable.get(user.owner)
    return unavailable === undefined ? user : { ...user!, unavailable }
  }

  /** Answers the owner's requests with this reason instead of an empty list of buckets. */
  setUnavailable(owner: OwnerId, reason: string): void {
    this.#unavailable.set(owner, reason)
  }

  isUnavailable(owner: OwnerId): boolean {
    return this.#unavailable.has(owner)
  }

  /** Reads the file if it is another one than last time. @throws ServiceError USERS_MALFORMED */
  async refresh(): Promise<boolean> {
    const stamp = await stampOf(this.path)
    if (stamp === this.#stamp) return false
    const users = parseUsers(await readJsonFile(this.path))
    this.#byAccessKey = new Map(
      users.map((user) => [
        user.accessKey,
        {
          accessKey: user.accessKey,
          secretKey: user.secretKey,
          owner: user.owner,
          displayName: user.name,
          id: user.id,
        },
      ]),
    )
    this.#users = users
    this.#stamp = stamp
    return true
  }

  /** Calls `onChange` after each change of the file until the signal aborts. A file that cannot be read changes nothing. */
  async watch(onChange: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (await this.refresh()) await onChange()
      } catch (error) {
        this.#log.error('users not read', { path: this.path, error })
      }
      await sleep(POLL_MS, signal).catch(() => {})
    }
  }
}

/** Adds a user to the file, or replaces the one with this owner and access key. The file is readable by its owner only. */
export async function addUser(path: string, user: GatewayUser): Promise<void> {
  const users = parseUsers(await readJsonFile(path)).filter(({ accessKey }) => accessKey !== user.accessKey)
  const all = parseUsers([...users, user])
  await writeFileAtomic(path, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600 })
}

/** @throws ServiceError USERS_MALFORMED */
export function parseUsers(value: unknown): GatewayUser[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.length > USERS_MAX) throw malformed(`not a list of at most ${USERS_MAX} users`)
  return value.map((entry: unknown, i) => {
    const user = entry as Record<string, unknown>
    for (const field of ['name', 'id', 'email', 'owner', 'territory', 'dataKey', 'accessKey', 'secretKey']) {
      if (typeof user?.[field] !== 'string') throw malformed(`user ${i} has no ${field}`)
    }
    const { owner, territory, dataKey } = user as unknown as GatewayUser
    if (!/^0x[0-9a-fA-F]{40}$/.test(owner)) throw malformed(`owner of user ${i} is not an address`)
    if (!/^[1-9][0-9]{0,18}$/.test(territory)) throw malformed(`territory of user ${i} is not a number`)
    if (!/^[0-9a-fA-F]{64}$/.test(dataKey)) throw malformed(`data key of user ${i} is not 64 hex digits`)
    return { ...(user as unknown as GatewayUser), owner: owner.toLowerCase() }
  })
}

export function dataKeyOf(user: GatewayUser): Uint8Array {
  return hexToBytes(user.dataKey)
}

function malformed(reason: string): ServiceError {
  return new ServiceError('USERS_MALFORMED', reason)
}

async function stampOf(path: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(path)
    return `${mtimeMs} ${size} ${ino}`
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'none'
    throw error
  }
}
