import { join } from 'node:path'
import { AlignedPool, PAGE_BYTES } from './aligned-pool.ts'
import type { DataFile, FileLayer } from './files.ts'
import { GroupSync } from './group-sync.ts'
import { StoreError } from './store-error.ts'

export interface SlabGeometry {
  readonly cellBytes: number
  readonly cellCount: number
  readonly cellsPerSlab: number
}

interface Slab {
  readonly file: DataFile
  /** The same file past the page cache, where the file system allows it. */
  readonly direct: DataFile | undefined
  readonly sync: GroupSync
}

/**
 * The bytes of cells, in files of at most 1 GiB. Knows nothing of what they mean. Writes go past the page cache; small
 * reads go through it. Linux drops cached pages of a range that is written directly, so both agree.
 */
export class SlabFiles {
  readonly geometry: SlabGeometry
  readonly pool: AlignedPool
  /** Whether cells are written with O_DIRECT. */
  readonly direct: boolean
  readonly #slabs: Slab[]

  private constructor(geometry: SlabGeometry, pool: AlignedPool, direct: boolean, slabs: Slab[]) {
    this.geometry = geometry
    this.pool = pool
    this.direct = direct
    this.#slabs = slabs
  }

  /** Opens or makes the files. They are sparse until their cells are written: no file system call here allocates. */
  static async open(
    files: FileLayer,
    folder: string,
    geometry: SlabGeometry,
    pool: AlignedPool,
    wantDirect: boolean,
  ): Promise<SlabFiles> {
    await files.makeFolder(folder)
    const direct = wantDirect && (await allowsDirect(files, folder))
    const slabs: Slab[] = []
    for (let first = 0; first < geometry.cellCount; first += geometry.cellsPerSlab) {
      const path = join(folder, `slab-${String(slabs.length).padStart(5, '0')}`)
      const file = await files.open(path)
      const bytes = Math.min(geometry.cellsPerSlab, geometry.cellCount - first) * geometry.cellBytes
      if ((await file.size()) < bytes) {
        await file.truncate(bytes)
        await file.sync()
      }
      const directFile = direct ? await files.open(path, { direct: true }) : undefined
      slabs.push({ file, direct: directFile, sync: new GroupSync(() => (directFile ?? file).sync()) })
    }
    await files.syncFolder(folder)
    return new SlabFiles(geometry, pool, direct, slabs)
  }

  /** Overwrites a cell from its start; durable when it resolves. `bytes` is not changed, and not kept. */
  async write(cell: number, bytes: Uint8Array): Promise<void> {
    const { slab, position } = this.#place(cell)
    if (!slab.direct) {
      await slab.file.write(bytes, position)
    } else if (this.pool.owns(bytes) && bytes.byteOffset % PAGE_BYTES === 0 && bytes.length % PAGE_BYTES === 0) {
      await slab.direct.write(bytes, position)
    } else {
      const buffer = await this.pool.take()
      try {
        buffer.set(bytes)
        const end = Math.ceil(bytes.length / PAGE_BYTES) * PAGE_BYTES
        buffer.fill(0, bytes.length, end)
        await slab.direct.write(buffer.subarray(0, end), position)
      } finally {
        this.pool.give(buffer)
      }
    }
    await slab.sync.run()
  }

  /** Fills `into` from `offset` of the cell, directly if `into`, offset and length are whole pages of the pool. */
  async read(cell: number, offset: number, into: Uint8Array, mode: 'direct' | 'cached'): Promise<void> {
    const { slab, position } = this.#place(cell)
    const direct =
      mode === 'direct' &&
      this.pool.owns(into) &&
      into.byteOffset % PAGE_BYTES === 0 &&
      into.length % PAGE_BYTES === 0 &&
      offset % PAGE_BYTES === 0
    const file = direct && slab.direct ? slab.direct : slab.file
    const count = await file.read(into, position + offset)
    if (count < into.length) {
      throw new StoreError('IO_FAILED', `${file.path} ends early`, { cell, offset, bytes: into.length, count })
    }
  }

  async close(): Promise<void> {
    for (const { file, direct } of this.#slabs) {
      await file.close()
      await direct?.close()
    }
  }

  #place(cell: number): { slab: Slab; position: number } {
    const { cellsPerSlab, cellBytes } = this.geometry
    return { slab: this.#slabs[Math.floor(cell / cellsPerSlab)]!, position: (cell % cellsPerSlab) * cellBytes }
  }
}

/** Some file systems refuse O_DIRECT when a file is opened, others when it is used: only trying tells. */
async function allowsDirect(files: FileLayer, folder: string): Promise<boolean> {
  const path = join(folder, 'probe')
  const pool = new AlignedPool({ bufferBytes: PAGE_BYTES, count: 1 })
  let file: DataFile | undefined
  try {
    file = await files.open(path, { direct: true })
    await file.write(await pool.take(), 0)
    return true
  } catch (error) {
    if (error instanceof StoreError && error.code === 'DISK_FULL') throw error
    return false
  } finally {
    await file?.close()
    await files.remove(path).catch(() => undefined) // where it was not even made
  }
}
