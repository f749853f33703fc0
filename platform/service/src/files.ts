import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ServiceError } from './service-error.ts'

/**
 * Replaces a file as a whole: after a crash there is the old content or the new, never a part of either.
 * Data and folder are fsynced before it resolves.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  init: { mode?: number } = {},
): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.${nextTemporary++}.tmp`
  try {
    const file = await open(temporary, 'w', init.mode ?? 0o644)
    try {
      await file.writeFile(data)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw new ServiceError('FILE_NOT_WRITTEN', `cannot write ${path}`, { path }, { cause: error })
  }
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
let nextTemporary = 0

/** Parsed JSON of a file, or undefined if there is no such file. Past `maxBytes` it is refused unread. */
export async function readJsonFile(path: string, maxBytes = 16 * 2 ** 20): Promise<unknown> {
  let text: string
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      if (size > maxBytes)
        throw new ServiceError('FILE_TOO_LARGE', `${path} has ${size} bytes, at most ${maxBytes} are read`, {
          path,
          size,
        })
    } finally {
      await file.close()
    }
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ServiceError('FILE_MALFORMED', `${path} is not JSON`, { path }, { cause: error })
  }
}
