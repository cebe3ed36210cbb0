/** Files and folders that were dropped on a page. */

/** Files for one directory. */
export interface DroppedFiles {
  /** Below where they were dropped; empty for right there. */
  readonly below: string;
  readonly files: readonly File[];
}

/** What was dropped, folders with what is in them. Must be called while the event is handled. */
export function readDropped(transfer: DataTransfer): Promise<DroppedFiles[]> {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some(entry => entry?.isDirectory)) {
    return Promise.resolve([{ below: '', files: [...transfer.files] }]);
  }
  return walk('', entries.filter(entry => entry !== null));
}

async function walk(below: string, entries: readonly FileSystemEntry[]): Promise<DroppedFiles[]> {
  const files = await Promise.all(entries.filter(isFile).map(fileOf));
  const found: DroppedFiles[] = files.length > 0 ? [{ below, files }] : [];
  for (const directory of entries.filter(isDirectory)) {
    const inner = below ? `${below}/${directory.name}` : directory.name;
    found.push(...(await walk(inner, await childrenOf(directory))));
  }
  return found;
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function isDirectory(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** A reader hands out some entries at a time, and none at the end. */
async function childrenOf(directory: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = directory.createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) {
      return found;
    }
    found.push(...some);
  }
}
