import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { bytesToHex, concatBytes } from '@cumulus/bytes'
import { type Block, type Checkpoint, encodeLogRecord, type LogRecord, type RoundCoin } from '@cumulus/r2s'
import { ConsensusError } from './consensus-error.ts'
import { exists, O_DSYNC, openSyncing, syncFolder, writeAt, writeDurably } from './log-disk.ts'
import {
  decodeLogFile,
  encodeMark,
  LOG_HEAD_BYTES,
  type LogFile,
  type LogMark,
  type LogOwner,
  offsetOfMark,
} from './log-file.ts'
import { LOG_FILE, NextLog, nextPath, type OpenLog, RESERVE_BYTES } from './next-log.ts'

/**
 * What a log tells at start (R²S, section 2.10). `fresh`: this member certainly never signed. `lost`: it may have signed
 * what nobody here remembers.
 */
export type FoundLog =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'lost'; readonly reason: string }
  | {
      readonly kind: 'log'
      readonly checkpoint: Checkpoint | null
      readonly blocks: readonly Block[]
      readonly coins: readonly RoundCoin[]
      /** Height of the chain when all commits before the log's beginning had been executed. */
      readonly height: bigint
      readonly damage: 'none' | 'torn'
    }

export interface LogOptions {
  /** Told how long each own block waited for the disk. */
  readonly onSync?: (seconds: number) => void
  /** The log is begun anew when it has grown to this, and to four times what it began with. Default 8 MiB. */
  readonly rotateBytes?: number | undefined
}

/** What a log that is begun anew takes over. */
export interface LogStart {
  readonly checkpoint: Checkpoint
  readonly coins: readonly RoundCoin[]
  readonly blocks: readonly Block[]
}

/** There while it is not known what this member signed before it lost its log. */
const LOST_FILE = 'LOST'
/**
 * Beside the log's folder, written with new keys by whoever drew them: nothing was ever signed with the key it names. Gone once
 * there is a log. Keys without it and without a log were used elsewhere, or in a folder that was wiped.
 */
const NEW_FILE = 'order.new'

/** Records of others wait in memory until an own block is written, but not more than this. */
const BUFFER_BYTES_MAX = 2 ** 20
/** About 20,000 blocks, a second to read. */
const ROTATE_BYTES = 8 * 2 ** 20
const ROTATE_FACTOR = 4
/** Zeros are written ahead in steps of this. */
const RESERVE_STEP_BYTES = 256 * 1024
/** What came into the log while it was begun anew is written before own blocks wait for the change, but for so much ... */
const CHANGE_BYTES_MAX = 512 * 1024
/** ... unless it comes as fast as it can be written. */
const TURNS_MAX = 16
/** How often it is noted in the head what is durable: a second page for the sync to write. */
const MARK_MS = 1_000

/**
 * What this member must not forget, in one file: `<folder>/order/wal.log`. An own block is in it, with all before it,
 * before anybody else sees the block. Kept short by `rotate`, which replaces the file as a whole by a rename; until then the
 * one before is whole and goes on.
 *
 * Calls are carried out in their order. After a failure all fail: nothing may be signed any more.
 */
export class WriteAheadLog {
  readonly #folder: string
  readonly #owner: LogOwner
  readonly #onSync: (seconds: number) => void
  #file: FileHandle
  /** The same file: what is written through it is on the disk when the write is done, in one wait for a thread instead of two. */
  #syncing: FileHandle
  /** Of the file; the next records go there. */
  #end: number
  /** So far it is on the disk. */
  #durableEnd: number
  #mark: LogMark
  #markedAtMs = Number.NEGATIVE_INFINITY
  /** Up to here the file has been written, with zeros or more. */
  #reservedBytes: number
  /** With what is not written yet. */
  #bytes: number
  readonly #rotateBytes: number
  #rotateAt: number
  #isLost: boolean
  #buffer: Uint8Array[] = []
  #bufferedBytes = 0
  /** While the log is begun anew: what was written to the file since. */
  #since: Uint8Array[] | undefined
  #rotation: Promise<void> | undefined
  #tail: Promise<void> = Promise.resolve()
  #failure: ConsensusError | undefined
  #isClosed = false

  private constructor(
    folder: string,
    owner: LogOwner,
    state: OpenLog & { readonly isLost: boolean },
    { onSync = () => {}, rotateBytes = ROTATE_BYTES }: LogOptions,
  ) {
    this.#folder = folder
    this.#owner = owner
    this.#file = state.file
    this.#syncing = state.syncing
    this.#mark = state.mark
    this.#end = LOG_HEAD_BYTES + state.mark.durableBytes
    this.#durableEnd = this.#end
    this.#bytes = this.#end
    this.#reservedBytes = state.reservedBytes
    this.#rotateBytes = rotateBytes
    this.#rotateAt = rotateBytes
    this.#isLost = state.isLost
    this.#onSync = onSync
  }

  /**
   * Opens the log of `folder`, or begins one. Without a log it is lost, unless the chain is empty and the keys are new.
   *
   * @param chainHeight of the chain in the folder
   * @throws ConsensusError OTHER_LOG, LOG_FAILED
   */
  static async open(
    folder: string,
    owner: LogOwner,
    chainHeight: bigint,
    options: LogOptions = {},
  ): Promise<{ wal: WriteAheadLog; found: FoundLog }> {
    try {
      const dir = join(folder, 'order')
      await mkdir(dir, { recursive: true })
      await rm(nextPath(dir), { force: true })
      const isNew = chainHeight === 0n && (await areKeysNew(folder, owner))
      const found = await readLogOf(folder, owner, isNew)
      if (found.kind === 'log') {
        const opened = await reopenLog(join(dir, LOG_FILE), found)
        await forgetNew(folder)
        return { wal: new WriteAheadLog(folder, owner, { ...opened, isLost: false }, options), found }
      }
      if (found.kind === 'lost') await writeDurably(join(dir, LOST_FILE), `${found.reason}\n`, dir)
      const next = await NextLog.begin(dir)
      await next.settle()
      const created = await next.take(owner, chainHeight)
      // From now on the log speaks for the keys; should it go, they are new no longer.
      await forgetNew(folder)
      const state = { ...created, isLost: found.kind === 'lost' }
      return { wal: new WriteAheadLog(folder, owner, state, options), found }
    } catch (cause) {
      if (cause instanceof ConsensusError) throw cause
      throw new ConsensusError('LOG_FAILED', `the log of ${folder} cannot be opened`, { folder }, { cause })
    }
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether it has grown enough to be begun anew. Not while it is. */
  get isLong(): boolean {
    return this.bytes >= this.#rotateAt && !this.isRotating
  }

  get isRotating(): boolean {
    return this.#rotation !== undefined
  }

  /** Goes to the disk with the next own block at the latest. */
  append(record: LogRecord): void {
    const bytes = encodeLogRecord(record)
    this.#buffer.push(bytes)
    this.#bufferedBytes += bytes.length
    this.#bytes += bytes.length
    // Who failed already has been told.
    if (this.#bufferedBytes >= BUFFER_BYTES_MAX) this.flush().catch(() => {})
  }

  /** Writes what waits, without waiting for the disk. */
  flush(): Promise<void> {
    const waiting = this.#take()
    return this.#then(() => this.#write(waiting))
  }

  /**
   * Resolves when the own block, and everything appended before it, is on the disk.
   *
   * @throws ConsensusError LOG_FAILED
   */
  persist(block: Block): Promise<void> {
    this.append({ kind: 'block', block })
    const waiting = this.#take()
    const startMs = performance.now()
    const done = this.#then(async () => {
      // A syncing write makes nothing durable but itself.
      const isAlone = O_DSYNC !== 0 && this.#durableEnd === this.#end
      await this.#write(waiting, isAlone ? this.#syncing : this.#file)
      if (!isAlone) await this.#file.datasync()
      this.#durableEnd = this.#end
      this.#onSync((performance.now() - startMs) / 1000)
      if (!this.#isLost) return
      // The log knows again what was signed last.
      const dir = join(this.#folder, 'order')
      await rm(join(dir, LOST_FILE), { force: true })
      await syncFolder(dir)
      this.#isLost = false
    })
    // Nobody waits for it. Who failed here is told by the next block.
    this.#then(() => this.#prepare()).catch(() => {})
    return done
  }

  /**
   * Begins the log anew beside what is in use. Own blocks go on meanwhile: they wait for the change alone. No own block may be
   * on its way to the disk when this is called, and not two logs may be begun at once.
   *
   * @param start blocks: the window above the checkpoint, parents first, and the last own block
   * @param height of the chain, with all commits before the checkpoint executed and stored
   */
  rotate(start: LogStart, height: bigint): Promise<void> {
    // What was appended so far is in the window, or below it. But the log in use is to have it too.
    const waiting = this.#take()
    const isBegun = this.#then(async () => {
      await this.#write(waiting)
      this.#since = []
    })
    const rotation = isBegun
      .then(() => this.#beginAnew(start, height))
      .catch((cause: unknown) => {
        throw this.#fail(cause)
      })
      .finally(() => {
        this.#since = undefined
        this.#rotation = undefined
      })
    this.#rotation = rotation.catch(() => {})
    return rotation
  }

  /** Resolves also if the log is closed meanwhile: the one in use stays. */
  async #beginAnew(start: LogStart, height: bigint): Promise<void> {
    const next = await NextLog.begin(join(this.#folder, 'order'))
    let isTaken = false
    try {
      for (const record of recordsOf(start)) {
        if (this.#isClosed) return
        await next.add(encodeLogRecord(record))
      }
      for (let turn = 0; turn < TURNS_MAX; turn++) {
        for (const bytes of this.#takeSince()) await next.add(bytes)
        await next.settle()
        if (this.#isClosed) return
        if (totalBytes(this.#since!) <= CHANGE_BYTES_MAX) break
      }
      await this.#then(async () => {
        for (const bytes of this.#takeSince()) await next.add(bytes)
        const old = [this.#file, this.#syncing]
        const { file, syncing, mark, reservedBytes } = await next.take(this.#owner, height)
        isTaken = true
        this.#file = file
        this.#syncing = syncing
        this.#mark = mark
        const unwrittenBytes = this.#bytes - this.#end
        this.#end = this.#durableEnd = LOG_HEAD_BYTES + mark.durableBytes
        this.#bytes = this.#end + unwrittenBytes
        this.#rotateAt = Math.max(this.#rotateBytes, ROTATE_FACTOR * this.#bytes)
        this.#reservedBytes = reservedBytes
        this.#since = undefined
        for (const one of old) await one.close()
      })
    } finally {
      if (!isTaken) await next.abandon()
    }
  }

  #takeSince(): Uint8Array[] {
    const since = this.#since!
    this.#since = []
    return since
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#rotation
    await this.flush().catch(() => {})
    await this.#then(() => this.#note()).catch(() => {})
    await this.#file.close()
    await this.#syncing.close()
  }

  #take(): Uint8Array[] {
    const waiting = this.#buffer
    this.#buffer = []
    this.#bufferedBytes = 0
    return waiting
  }

  async #write(records: readonly Uint8Array[], file = this.#file): Promise<void> {
    if (records.length === 0) return
    const bytes = concatBytes(...records)
    await writeAt(file, bytes, this.#end)
    this.#since?.push(bytes)
    this.#end += bytes.length
    this.#reservedBytes = Math.max(this.#reservedBytes, this.#end)
  }

  /** What a next own block would otherwise wait for. */
  async #prepare(): Promise<void> {
    if (performance.now() - this.#markedAtMs > MARK_MS) await this.#note()
    if (this.#reservedBytes >= this.#end + RESERVE_BYTES) return
    await writeAt(this.#file, new Uint8Array(RESERVE_STEP_BYTES), this.#reservedBytes)
    this.#reservedBytes += RESERVE_STEP_BYTES
  }

  async #note(): Promise<void> {
    this.#mark = { number: this.#mark.number + 1, durableBytes: this.#durableEnd - LOG_HEAD_BYTES }
    await writeAt(this.#file, encodeMark(this.#mark), offsetOfMark(this.#mark))
    this.#markedAtMs = performance.now()
  }

  #then(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(async () => {
      if (this.#failure) throw this.#failure
      try {
        await work()
      } catch (cause) {
        throw this.#fail(cause)
      }
    })
    this.#tail = done.catch(() => {})
    return done
  }

  #fail(cause: unknown): ConsensusError {
    this.#failure ??= new ConsensusError('LOG_FAILED', 'the log cannot be written', {}, { cause })
    return this.#failure
  }
}

function* recordsOf({ checkpoint, coins, blocks }: LogStart): Iterable<LogRecord> {
  yield { kind: 'checkpoint', checkpoint }
  for (const coin of coins) yield { kind: 'coin', coin }
  for (const block of blocks) yield { kind: 'block', block }
}

function totalBytes(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0)
}

type Read = Exclude<FoundLog, { kind: 'log' }> | (Extract<LogFile, { kind: 'log' }> & { readonly fileBytes: number })

async function readLogOf(folder: string, owner: LogOwner, isNew: boolean): Promise<Read> {
  const path = join(folder, 'order', LOG_FILE)
  if (await exists(join(folder, 'order', LOST_FILE))) {
    return { kind: 'lost', reason: 'it stopped before it knew again what it had signed' }
  }
  let bytes: Uint8Array
  try {
    bytes = new Uint8Array(await readFile(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return isNew ? { kind: 'fresh' } : { kind: 'lost', reason: 'there is no log' }
  }
  const file = decodeLogFile(bytes, owner)
  if (file.kind === 'log') return { ...file, fileBytes: bytes.length }
  await rename(path, `${path}.damaged`)
  return { kind: 'lost', reason: file.reason }
}

/** What was read may so far be in the memory of the kernel only; when it is shown to others it must be on the disk. */
async function reopenLog(
  path: string,
  { damage, validBytes, mark: last, fileBytes }: Extract<Read, { kind: 'log' }>,
): Promise<OpenLog> {
  const file = await open(path, 'r+')
  try {
    const end = LOG_HEAD_BYTES + validBytes
    if (damage === 'torn') await file.truncate(end)
    const mark = { number: last.number + 1, durableBytes: validBytes }
    await file.datasync()
    await writeAt(file, encodeMark(mark), offsetOfMark(mark))
    await file.datasync()
    return { file, syncing: await openSyncing(path), mark, reservedBytes: damage === 'torn' ? end : fileBytes }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function areKeysNew(folder: string, { peerKey }: LogOwner): Promise<boolean> {
  try {
    // Of these keys: others may have been put there since.
    return (await readFile(join(folder, NEW_FILE), 'utf8')).trim() === bytesToHex(peerKey)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

async function forgetNew(folder: string): Promise<void> {
  if (!(await exists(join(folder, NEW_FILE)))) return
  await rm(join(folder, NEW_FILE))
  await syncFolder(folder)
}
