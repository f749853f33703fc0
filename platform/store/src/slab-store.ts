import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { join } from 'node:path'
import { ByteReader, ByteWriter, equalBytes, utf8Encode } from '@cumulus/bytes'
import { blake3, HASH_BYTES } from '@cumulus/hash'
import { PIECE_BYTES, pieceCount, verifyPieces } from '@cumulus/storage'
import { AlignedPool, PAGE_BYTES } from './aligned-pool.ts'
import { CellMap } from './cell-map.ts'
import { Database, type Table, type WriteBatch } from './database.ts'
import { type FileLayer, nodeFiles } from './files.ts'
import {
  decodeKey,
  decodeRecord,
  encodeKey,
  encodeRecord,
  type FragmentKey,
  type FragmentRecord,
} from './fragment-record.ts'
import { KeyedQueue } from './keyed-queue.ts'
import { SlabFiles } from './slab-files.ts'
import { SpaceGuard } from './space.ts'
import { StoreError } from './store-error.ts'

const MiB = 2 ** 20

export interface SlabStoreInit {
  /** Cells. May grow from one start to the next, never shrink. */
  readonly units: number
  /** Size of a cell: the largest fragment. A multiple of 4 KiB. */
  readonly unitBytes: number
  /** Limit of the LMDB file: see `spaceBudget`. */
  readonly indexBytes: number
  /** Idle cells are filled from this key, so that no two miners have the same. Default: zeros. */
  readonly idleKey?: Uint8Array
  /** Below this a fragment is kept in LMDB. Default: a 128th of a cell, at most 64 KiB. */
  readonly inlineBytesMax?: number
  /** Default 1 GiB. */
  readonly slabBytesMax?: number
  /** The disk is never filled beyond this. Default 2 GiB. */
  readonly keepFreeBytes?: number
  /** Aligned buffers of one cell each. Default 6. */
  readonly bufferCount?: number
  /** Default true: O_DIRECT where the file system has it. */
  readonly direct?: boolean
  readonly files?: FileLayer
}

export interface FragmentContent {
  readonly bytes: Uint8Array
  readonly fragmentId: Uint8Array
  readonly segmentRoot: Uint8Array
  readonly descriptor: Uint8Array
  readonly pieceHashes: Uint8Array
}

/** Index entry of a fragment, with what became of it. */
export interface FragmentInfo extends FragmentRecord {
  readonly committed: boolean
  /** Its bytes were found to be wrong: it cannot be read until it is put again. */
  readonly corrupt: boolean
}

/** Bytes of a fragment. */
export interface FragmentRange {
  readonly bytes: Uint8Array
  readonly info: FragmentRecord
  /** Gives the buffer back. Call once, when `bytes` is no longer looked at. */
  release(): void
}

export interface ReadInit {
  readonly offset?: number
  /** 0 or none = to the end. */
  readonly length?: number
  /** Checks the pieces read against their hashes: BLAKE3 at 7 GB/s. Default true. */
  readonly verify?: boolean
}

export interface SlabStatus {
  readonly units: number
  readonly usedUnits: number
  readonly freeUnits: number
  readonly writtenCells: number
  readonly pendingFragments: number
  readonly corruptFragments: number
  readonly fragments: number
  readonly taggedFragments: number
  readonly unconfirmedTags: number
  /** Tags that wait for their check. */
  readonly offeredTags: number
  readonly indexBytes: number
  readonly direct: boolean
}

/** Reads at least so long go past the page cache: they cost a tenth of the CPU, and would push out what is hot. */
const DIRECT_READ_BYTES = 256 * 2 ** 10
const GEOMETRY_KEY = utf8Encode('geometry')
const CURSOR_KEY = utf8Encode('scrub-cursor')
const EMPTY = new Uint8Array(0)

/**
 * Fragments on disk, one in each cell. What `put` has answered survives a crash at any moment: the data is written and
 * synced, then the index is committed, and only then is the put done. A crash in between leaves a free cell.
 */
export class SlabStore {
  readonly pool: AlignedPool
  readonly units: number
  readonly #unitBytes: number
  readonly #inlineBytesMax: number
  readonly #idleKey: Uint8Array
  readonly #slabs: SlabFiles
  readonly #database: Database
  readonly #fragments: Table
  readonly #inline: Table
  readonly #pending: Table
  readonly #corrupt: Table
  readonly #tags: Table
  readonly #unconfirmed: Table
  readonly #offered: Table
  readonly #meta: Table
  readonly #cells: CellMap
  readonly #guard: SpaceGuard
  readonly #queue = new KeyedQueue()
  /** Reads under way by cell: a cell that was given up stays busy until they end. */
  readonly #readers = new Map<number, number>()
  readonly #retired = new Set<number>()
  /** Reads and fills under way: files stay open until they end. */
  readonly #running = new Set<Promise<unknown>>()
  #inlineCount: number
  #closed = false

  private constructor(init: SlabStoreInit, slabs: SlabFiles, database: Database, cells: CellMap, guard: SpaceGuard) {
    this.pool = slabs.pool
    this.units = init.units
    this.#unitBytes = init.unitBytes
    this.#inlineBytesMax = init.inlineBytesMax ?? Math.min(64 * 2 ** 10, init.unitBytes / 128)
    this.#idleKey = init.idleKey ?? new Uint8Array(32)
    this.#slabs = slabs
    this.#database = database
    this.#fragments = database.table('fragments')
    this.#inline = database.table('inline')
    this.#pending = database.table('pending')
    this.#corrupt = database.table('corrupt')
    this.#tags = database.table('tags')
    this.#unconfirmed = database.table('unconfirmed')
    this.#offered = database.table('offered')
    this.#meta = database.table('meta')
    this.#cells = cells
    this.#guard = guard
    this.#inlineCount = this.#inline.count
  }

  /**
   * Opens the store in `folder`, or makes it. Reads the whole index once: 10 µs a fragment.
   *
   * @throws StoreError WRONG_GEOMETRY if it was made with other cells or has more than `units`,
   *   INDEX_CORRUPT if the index contradicts itself
   */
  static async open(folder: string, init: SlabStoreInit): Promise<SlabStore> {
    if (init.unitBytes % PAGE_BYTES !== 0) throw new RangeError(`cells of ${init.unitBytes} are not whole pages`)
    const files = init.files ?? nodeFiles
    const guard = new SpaceGuard(files, folder, init.keepFreeBytes ?? 2048 * MiB)
    const database = await Database.open(join(folder, 'index'), { limitBytes: init.indexBytes })
    try {
      const meta = database.table('meta')
      const cellsPerSlab = Math.max(1, Math.floor((init.slabBytesMax ?? 1024 * MiB) / init.unitBytes))
      const geometry = { cellBytes: init.unitBytes, cellCount: init.units, cellsPerSlab }
      checkGeometry(meta.get(GEOMETRY_KEY), geometry)
      const used = usedCells(database.table('fragments'), init.units)
      const bits = new Map<number, Uint8Array>()
      const isWritten = (cell: number): boolean => {
        const slab = Math.floor(cell / cellsPerSlab)
        if (!bits.has(slab)) bits.set(slab, meta.get(writtenKey(slab)) ?? EMPTY)
        const at = cell % cellsPerSlab
        return (((bits.get(slab)![at >> 3] ?? 0) >> (at & 7)) & 1) === 1
      }
      const cells = new CellMap(init.units, (cell) => used[cell] === 1, isWritten)
      const bufferBytes = Math.max(init.unitBytes, PIECE_BYTES)
      const pool = new AlignedPool({ bufferBytes, count: init.bufferCount ?? 6 })
      const slabs = await SlabFiles.open(files, join(folder, 'slabs'), geometry, pool, init.direct ?? true)
      const encoded = new ByteWriter().u32(1).u32(geometry.cellBytes).u32(geometry.cellCount).u32(cellsPerSlab)
      await meta.put(GEOMETRY_KEY, encoded.finish())
      return new SlabStore(init, slabs, database, cells, guard)
    } catch (error) {
      await database.close()
      throw error
    }
  }

  /** Whether cells are written past the page cache. */
  get direct(): boolean {
    return this.#slabs.direct
  }

  /**
   * Keeps a fragment; durable when it resolves. The caller has checked that bytes, hashes and ids belong together.
   * Putting the same again is `present`, and mends it if it was corrupt.
   *
   * @throws StoreError FRAGMENT_EXISTS if another segment's fragment is there, NO_SPACE if all units are used,
   *   DISK_FULL, IO_FAILED, …: then nothing was kept
   */
  put(key: FragmentKey, content: FragmentContent): Promise<'stored' | 'present'> {
    assert.ok(content.bytes.length > 0 && content.bytes.length <= this.#unitBytes)
    assert.equal(content.pieceHashes.length, pieceCount(content.bytes.length) * HASH_BYTES)
    const encodedKey = encodeKey(key)
    return this.#queue.run(encodedKey.toHex(), async () => {
      this.#assertOpen()
      const present = this.info(key)
      if (present) {
        if (!equalBytes(present.segmentRoot, content.segmentRoot)) {
          throw new StoreError('FRAGMENT_EXISTS', 'the stripe holds another segment', { ...key })
        }
        if (!present.corrupt) return 'present'
      }
      const inline = content.bytes.length < this.#inlineBytesMax
      if (inline) await this.#putInline(key, encodedKey, content, present)
      else await this.#putCell(key, encodedKey, content, present)
      return 'stored'
    })
  }

  info(key: FragmentKey): FragmentInfo | undefined {
    const encodedKey = encodeKey(key)
    const value = this.#fragments.get(encodedKey)
    if (!value) return undefined
    const committed = !this.#pending.has(encodedKey)
    return { ...decodeRecord(value), committed, corrupt: this.#corrupt.has(encodedKey) }
  }

  /**
   * Reads a range. Whole pieces are read and checked; a wrong one marks the fragment corrupt.
   *
   * @throws StoreError NOT_FOUND | OUT_OF_RANGE | FRAGMENT_CORRUPT
   */
  read(key: FragmentKey, init: ReadInit = {}): Promise<FragmentRange> {
    return this.#track(this.#read(key, init))
  }

  async #read(key: FragmentKey, init: ReadInit): Promise<FragmentRange> {
    this.#assertOpen()
    const info = this.info(key)
    if (!info) throw notFound(key)
    if (info.corrupt) throw corrupt(key, {})
    const offset = init.offset ?? 0
    const length = init.length || info.length - offset
    if (offset < 0 || length <= 0 || offset + length > info.length) {
      throw new StoreError('OUT_OF_RANGE', 'the range is outside the fragment', { offset, length, of: info.length })
    }
    if (info.cell === undefined) return this.#readInline(key, info, offset, length)
    if (!this.#cells.isUsed(info.cell)) throw notFound(key) // deleted since the snapshot that `info` saw
    const { cell } = info
    this.#readers.set(cell, (this.#readers.get(cell) ?? 0) + 1)
    try {
      return await this.#readCell(key, info, cell, offset, length, init.verify ?? true)
    } finally {
      const readers = this.#readers.get(cell)! - 1
      if (readers > 0) {
        this.#readers.set(cell, readers)
      } else {
        this.#readers.delete(cell)
        if (this.#retired.delete(cell)) this.#cells.free(cell)
      }
    }
  }

  /** Reads and checks all of a fragment. @throws StoreError as `read` */
  async verify(key: FragmentKey): Promise<number> {
    const range = await this.read(key)
    range.release()
    return range.bytes.length
  }

  /** Drops a fragment; its cell is free once that is durable and nobody reads it. False if there was none. */
  delete(key: FragmentKey): Promise<boolean> {
    const encodedKey = encodeKey(key)
    return this.#queue.run(encodedKey.toHex(), async () => {
      this.#assertOpen()
      const info = this.info(key)
      if (!info) return false
      await this.#database.write((batch) => {
        for (const table of this.#tablesByFragment) batch.delete(table, encodedKey)
      })
      if (info.cell === undefined) this.#inlineCount--
      else this.#retire(info.cell)
      return true
    })
  }

  get #tablesByFragment(): Table[] {
    return [this.#fragments, this.#inline, this.#pending, this.#corrupt, this.#tags, this.#unconfirmed, this.#offered]
  }

  /**
   * Keeps tags of a fragment's stripe, as bytes of the caller's, that nobody has checked yet: beside those that are kept
   * already, which they do not touch. Later ones take the place of earlier ones. All go when the fragment goes. False if there is
   * no such fragment.
   */
  offerTags(key: FragmentKey, tags: Uint8Array): Promise<boolean> {
    const encodedKey = encodeKey(key)
    return this.#queue.run(encodedKey.toHex(), async () => {
      this.#assertOpen()
      if (!this.#fragments.has(encodedKey)) return false
      await this.#offered.put(encodedKey, tags)
      return true
    })
  }

  offeredTags(key: FragmentKey): Uint8Array | undefined {
    return this.#offered.get(encodeKey(key))
  }

  /**
   * Tags that were offered have passed: they are kept as `tags`, unconfirmed. False, and nothing happens, if what is offered
   * now is something else.
   */
  adoptTags(key: FragmentKey, offered: Uint8Array, tags: Uint8Array): Promise<boolean> {
    return this.#ifSame(this.#offered, key, offered, (batch, encodedKey) => {
      batch.delete(this.#offered, encodedKey)
      batch.put(this.#tags, encodedKey, tags)
      batch.put(this.#unconfirmed, encodedKey, EMPTY)
    })
  }

  /** Tags that were offered are no good. False, and nothing happens, if what is offered now is something else. */
  refuseTags(key: FragmentKey, offered: Uint8Array): Promise<boolean> {
    return this.#ifSame(this.#offered, key, offered, (batch, encodedKey) => batch.delete(this.#offered, encodedKey))
  }

  /** Tags that have passed. */
  getTags(key: FragmentKey): Uint8Array | undefined {
    return this.#tags.get(encodeKey(key))
  }

  /** They are no good, or no longer. False, and nothing happens, if others are kept now. */
  dropTags(key: FragmentKey, tags: Uint8Array): Promise<boolean> {
    return this.#ifSame(this.#tags, key, tags, (batch, encodedKey) => {
      batch.delete(this.#tags, encodedKey)
      batch.delete(this.#unconfirmed, encodedKey)
    })
  }

  /** Whether others know that these tags are here. False, and nothing happens, if others are kept now, or none. */
  markConfirmed(key: FragmentKey, tags: Uint8Array, isConfirmed: boolean): Promise<boolean> {
    return this.#ifSame(this.#tags, key, tags, (batch, encodedKey) => {
      if (isConfirmed) batch.delete(this.#unconfirmed, encodedKey)
      else batch.put(this.#unconfirmed, encodedKey, EMPTY)
    })
  }

  /** Changes what belongs to a value, unless that is another one by now: whoever looked at it waited since. */
  #ifSame(
    table: Table,
    key: FragmentKey,
    expected: Uint8Array,
    change: (batch: WriteBatch, encodedKey: Uint8Array) => void,
  ): Promise<boolean> {
    const encodedKey = encodeKey(key)
    return this.#queue.run(encodedKey.toHex(), async () => {
      this.#assertOpen()
      const found = table.get(encodedKey)
      if (!found || !equalBytes(found, expected)) return false
      await this.#database.write((batch) => change(batch, encodedKey))
      return true
    })
  }

  isConfirmed(key: FragmentKey): boolean {
    const encodedKey = encodeKey(key)
    return this.#tags.has(encodedKey) && !this.#unconfirmed.has(encodedKey)
  }

  /** Fragments with tags that wait for their check, in order of group, stripe, seat. */
  *offeredKeys(): Generator<FragmentKey> {
    for (const { key } of this.#offered.range()) yield decodeKey(key)
  }

  /** Fragments whose tags are not confirmed, in order of group, stripe, seat. */
  *unconfirmedKeys(): Generator<FragmentKey> {
    for (const { key } of this.#unconfirmed.range()) yield decodeKey(key)
  }

  /** The chain knows the stripe. False if there is no such fragment, or it was known already. */
  markCommitted(key: FragmentKey): Promise<boolean> {
    const encodedKey = encodeKey(key)
    return this.#queue.run(encodedKey.toHex(), async () => {
      if (!this.#pending.has(encodedKey)) return false
      await this.#pending.delete(encodedKey)
      return true
    })
  }

  /** Remembers that a fragment is not what it should be: reads fail until it is put again. */
  markCorrupt(key: FragmentKey): Promise<void> {
    return this.#markCorrupt(key, () => true)
  }

  /** Fragments in order of group, stripe, seat. */
  *keys(after?: FragmentKey): Generator<FragmentKey> {
    for (const { key } of this.#fragments.range(after ? { gt: encodeKey(after) } : {})) yield decodeKey(key)
  }

  /** Fragments of one stripe: as a rule one, or none. */
  *keysOfStripe(group: number, stripe: number): Generator<FragmentKey> {
    const gte = encodeKey({ group, stripe, seat: 0 })
    const last = encodeKey({ group, stripe, seat: 255 })
    for (const { key } of this.#fragments.range({ gte, lt: last })) yield decodeKey(key)
  }

  /** Fragments whose stripe was not seen committed. */
  *pendingKeys(): Generator<FragmentKey> {
    for (const { key } of this.#pending.range()) yield decodeKey(key)
  }

  *corruptKeys(): Generator<FragmentKey> {
    for (const { key } of this.#corrupt.range()) yield decodeKey(key)
  }

  /** Bytes of an own small record beside the index, such as how far events were followed. */
  getNote(name: string): Uint8Array | undefined {
    return this.#meta.get(utf8Encode(`note/${name}`))
  }

  setNote(name: string, value: Uint8Array): Promise<void> {
    return this.#meta.put(utf8Encode(`note/${name}`), value)
  }

  get scrubCursor(): FragmentKey | undefined {
    const value = this.#meta.get(CURSOR_KEY)
    return value?.length ? decodeKey(value) : undefined
  }

  setScrubCursor(key: FragmentKey | undefined): Promise<void> {
    return this.#meta.put(CURSOR_KEY, key ? encodeKey(key) : EMPTY)
  }

  /**
   * Writes one idle cell that was never written, with bytes that only the owner of the idle key can predict.
   * False if there is none left. @throws StoreError DISK_FULL …: the cell stays as it was
   */
  fillOne(): Promise<boolean> {
    return this.#track(this.#fillOne())
  }

  async #fillOne(): Promise<boolean> {
    this.#assertOpen()
    const cell = this.#cells.takeBlank()
    if (cell === undefined) return false
    try {
      await this.#guard.claim(this.#unitBytes)
      const buffer = await this.pool.take()
      try {
        const bytes = buffer.subarray(0, this.#unitBytes)
        idleBytes(this.#idleKey, cell, bytes)
        await this.#slabs.write(cell, bytes)
      } finally {
        this.pool.give(buffer)
      }
      this.#cells.markWritten(cell)
    } finally {
      this.#cells.free(cell)
    }
    return true
  }

  /** Remembers which cells were written. Forgetting some costs only writing them again while they are idle. */
  async saveFillProgress(): Promise<void> {
    const { cellsPerSlab, cellCount } = this.#slabs.geometry
    await this.#database.write((batch) => {
      for (let slab = 0; slab * cellsPerSlab < cellCount; slab++) {
        const first = slab * cellsPerSlab
        const bits = this.#cells.writtenBits(first, Math.min(cellsPerSlab, cellCount - first))
        const known = this.#meta.get(writtenKey(slab))
        if (!known || !equalBytes(known, bits)) batch.put(this.#meta, writtenKey(slab), bits)
      }
    })
  }

  get status(): SlabStatus {
    const usedUnits = this.#cells.usedCount + this.#inlineCount
    return {
      units: this.units,
      usedUnits,
      freeUnits: this.units - usedUnits,
      writtenCells: this.#cells.writtenCount,
      pendingFragments: this.#pending.count,
      corruptFragments: this.#corrupt.count,
      fragments: this.#fragments.count,
      taggedFragments: this.#tags.count,
      unconfirmedTags: this.#unconfirmed.count,
      offeredTags: this.#offered.count,
      indexBytes: this.#database.fileBytes,
      direct: this.#slabs.direct,
    }
  }

  /** Throws unless every cell named by the index is used, by one fragment, and no other is. O(fragments + cells). */
  assertConsistent(): void {
    this.#cells.assertConsistent()
    const used = usedCells(this.#fragments, this.units)
    let count = 0
    for (let cell = 0; cell < this.units; cell++) {
      assert.equal(this.#cells.isUsed(cell), used[cell] === 1, `cell ${cell}`)
      count += used[cell]!
    }
    assert.equal(count + this.#inlineCount, this.#fragments.count)
    assert.equal(this.#inlineCount, this.#inline.count)
  }

  /** Lets writes under way finish, then closes. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.allSettled(this.#running)
    await this.#queue.idle()
    await this.saveFillProgress()
    await this.#slabs.close()
    await this.#database.close()
  }

  async #putInline(
    key: FragmentKey,
    encodedKey: Uint8Array,
    content: FragmentContent,
    present: FragmentInfo | undefined,
  ): Promise<void> {
    if (!present) this.#assertUnit(key)
    await this.#guard.claim(content.bytes.length + 4 * PAGE_BYTES)
    if (!present) this.#inlineCount++
    try {
      await this.#index(encodedKey, content, undefined, present)
    } catch (error) {
      if (!present) this.#inlineCount--
      throw error
    }
    if (present?.cell !== undefined) this.#retire(present.cell)
  }

  async #putCell(
    key: FragmentKey,
    encodedKey: Uint8Array,
    content: FragmentContent,
    present: FragmentInfo | undefined,
  ): Promise<void> {
    if (!present) this.#assertUnit(key)
    const cell = this.#cells.take()
    if (cell === undefined) {
      if (present?.cell === undefined)
        throw new StoreError('NO_SPACE', 'no cell is free', { ...key, units: this.units })
      // Mended in its own cell: until the index says so, it stays marked corrupt.
      await this.#slabs.write(present.cell, content.bytes)
      return this.#index(encodedKey, content, present.cell, present)
    }
    try {
      // Overwriting in place needs no new blocks, only the index may grow a little.
      await this.#guard.claim((this.#cells.isWritten(cell) ? 0 : this.#unitBytes) + 4 * PAGE_BYTES)
      await this.#slabs.write(cell, content.bytes)
      if (content.bytes.length === this.#unitBytes) this.#cells.markWritten(cell)
      await this.#index(encodedKey, content, cell, present)
    } catch (error) {
      this.#cells.free(cell)
      throw error
    }
    this.#cells.use(cell)
    if (present?.cell !== undefined) this.#retire(present.cell)
  }

  #index(
    encodedKey: Uint8Array,
    content: FragmentContent,
    cell: number | undefined,
    present: FragmentInfo | undefined,
  ): Promise<void> {
    const record = encodeRecord({ ...content, length: content.bytes.length, cell })
    return this.#database.write((batch) => {
      batch.put(this.#fragments, encodedKey, record)
      if (cell === undefined) batch.put(this.#inline, encodedKey, content.bytes)
      if (present) batch.delete(this.#corrupt, encodedKey)
      else batch.put(this.#pending, encodedKey, EMPTY)
    })
  }

  async #readCell(
    key: FragmentKey,
    info: FragmentRecord,
    cell: number,
    offset: number,
    length: number,
    verify: boolean,
  ): Promise<FragmentRange> {
    const unit = verify ? PIECE_BYTES : PAGE_BYTES
    const start = Math.floor(offset / unit) * unit
    const end = Math.min(Math.ceil((offset + length) / unit) * unit, info.length)
    const wanted = end - start
    // Room for the last page to be whole, as O_DIRECT wants it.
    const roomBytes = Math.min(Math.ceil(wanted / PAGE_BYTES) * PAGE_BYTES, this.#unitBytes - start)
    // The last buffer is left to writers: a reader may hold its own for as long as a slow peer takes.
    const spare = wanted >= DIRECT_READ_BYTES && this.pool.freeCount > 1
    const buffer = spare ? this.pool.tryTake(roomBytes) : undefined
    const room = buffer ?? new Uint8Array(wanted)
    const release = (): void => {
      if (buffer) this.pool.give(buffer)
    }
    try {
      let mode: 'direct' | 'cached' = buffer ? 'direct' : 'cached'
      for (;;) {
        const failure = await this.#slabs.read(cell, start, room, mode).then(
          () => undefined,
          (error: unknown) => error,
        )
        const bytes = room.subarray(0, wanted)
        if (!failure && (!verify || verifyPieces(info.pieceHashes, start / PIECE_BYTES, bytes))) {
          return { bytes: bytes.subarray(offset - start, offset - start + length), info, release }
        }
        // The page cache may be what is wrong: one more look past it, where there is a way.
        if (mode === 'cached' && this.#slabs.direct) {
          const reread = await this.#readPastCache(cell, start, wanted)
          if (reread && verifyPieces(info.pieceHashes, start / PIECE_BYTES, reread)) {
            return { bytes: reread.subarray(offset - start, offset - start + length), info, release }
          }
        } else if (mode === 'direct' && failure) {
          mode = 'cached'
          continue
        }
        await this.#markCorrupt(key, (record) => record.cell === cell)
        throw corrupt(key, { offset: start, bytes: wanted, cell }, failure)
      }
    } catch (error) {
      release()
      throw error
    }
  }

  /** `applies` sees the record at the time of marking: what was found wrong may have been replaced since. */
  #markCorrupt(key: FragmentKey, applies: (record: FragmentRecord) => boolean): Promise<void> {
    const encodedKey = encodeKey(key)
    return this.#queue.run(encodedKey.toHex(), async () => {
      const value = this.#fragments.get(encodedKey)
      if (value && applies(decodeRecord(value))) await this.#corrupt.put(encodedKey, EMPTY)
    })
  }

  async #readPastCache(cell: number, start: number, wanted: number): Promise<Uint8Array | undefined> {
    const buffer = await this.pool.take()
    try {
      const room = Math.min(Math.ceil(wanted / PAGE_BYTES) * PAGE_BYTES, this.#unitBytes - start)
      await this.#slabs.read(cell, start, buffer.subarray(0, room), 'direct')
      return buffer.slice(0, wanted)
    } catch {
      return undefined // the first failure is the one to report
    } finally {
      this.pool.give(buffer)
    }
  }

  async #readInline(key: FragmentKey, info: FragmentRecord, offset: number, length: number): Promise<FragmentRange> {
    const whole = this.#inline.get(encodeKey(key))
    if (!whole || whole.length !== info.length || !verifyPieces(info.pieceHashes, 0, whole)) {
      await this.#markCorrupt(key, (record) => record.cell === undefined)
      throw corrupt(key, { offset, bytes: length })
    }
    return { bytes: whole.subarray(offset, offset + length), info, release: () => undefined }
  }

  #track<Value>(task: Promise<Value>): Promise<Value> {
    this.#running.add(task)
    const forget = (): void => void this.#running.delete(task)
    task.then(forget, forget)
    return task
  }

  /** Its index entry is durably gone. */
  #retire(cell: number): void {
    this.#cells.retire(cell)
    if (this.#readers.has(cell)) this.#retired.add(cell)
    else this.#cells.free(cell)
  }

  /** A small fragment takes no cell, but a unit all the same. */
  #assertUnit(key: FragmentKey): void {
    if (this.#cells.usedCount + this.#cells.busyCount + this.#inlineCount >= this.units) {
      throw new StoreError('NO_SPACE', 'all units are used', { ...key, units: this.units })
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new StoreError('CLOSED', 'the store is closed')
  }
}

function usedCells(fragments: Table, units: number): Uint8Array {
  const used = new Uint8Array(units)
  for (const { key, value } of fragments.range()) {
    const { cell } = decodeRecord(value)
    if (cell === undefined) continue
    if (cell >= units || used[cell]) {
      throw new StoreError('INDEX_CORRUPT', 'two fragments in one cell, or one outside the space', {
        ...decodeKey(key),
        cell,
      })
    }
    used[cell] = 1
  }
  return used
}

function checkGeometry(
  known: Uint8Array | undefined,
  wanted: { cellBytes: number; cellCount: number; cellsPerSlab: number },
): void {
  if (!known) return
  const reader = new ByteReader(known)
  const version = reader.u32()
  const cellBytes = reader.u32()
  const cellCount = reader.u32()
  const cellsPerSlab = reader.u32()
  if (
    version !== 1 ||
    cellBytes !== wanted.cellBytes ||
    cellsPerSlab !== wanted.cellsPerSlab ||
    cellCount > wanted.cellCount
  ) {
    const details = { known: { version, cellBytes, cellCount, cellsPerSlab }, wanted }
    throw new StoreError('WRONG_GEOMETRY', 'the store was made with other cells, or more of them', details)
  }
}

function writtenKey(slab: number): Uint8Array {
  return new ByteWriter().bytes(utf8Encode('written/')).u32(slab).finish()
}

/** Keystream of AES-256 in counter mode under BLAKE3(key ‖ cell): 2 GB/s, and no file system can compress it. */
function idleBytes(key: Uint8Array, cell: number, into: Uint8Array): void {
  const cellKey = blake3(new ByteWriter().bytes(utf8Encode('cumulus/idle/1')).bytes(key).u32(cell).finish())
  const cipher = createCipheriv('aes-256-ctr', cellKey, new Uint8Array(16))
  for (let at = 0; at < into.length; at += IDLE_STEP.length) {
    const step = IDLE_STEP.subarray(0, Math.min(IDLE_STEP.length, into.length - at))
    into.set(cipher.update(step), at)
  }
}
const IDLE_STEP = new Uint8Array(64 * 2 ** 10)

function notFound(key: FragmentKey): StoreError {
  return new StoreError('NOT_FOUND', 'there is no such fragment', { ...key })
}

function corrupt(key: FragmentKey, details: object, cause?: unknown): StoreError {
  return new StoreError('FRAGMENT_CORRUPT', 'the fragment is damaged: put it again', { ...key, ...details }, { cause })
}
