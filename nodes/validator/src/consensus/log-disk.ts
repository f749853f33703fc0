import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'

/** 0 where the system has none. */
export const O_DSYNC: number = constants.O_DSYNC ?? 0

/** A handle through which everything is on the disk when its write is done. */
export function openSyncing(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | O_DSYNC)
}

export async function writeAt(file: FileHandle, bytes: Uint8Array, start: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, start + done)
    done += bytesWritten
  }
}

export async function writeDurably(path: string, text: string, folder: string): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await syncFolder(folder)
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
