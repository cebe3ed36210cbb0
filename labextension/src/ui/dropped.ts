/** Files and folders that were dropped on a page. */
import type { UploadGroup } from '../model/uploads';

/** Files for one directory; none for one in which nothing is. */
export interface DroppedFiles {
  /** Below where they were dropped; empty for right there. */
  readonly below: string;
  readonly files: readonly File[];
}

/** What was dropped, folders with what is in them except for hidden names. Must be called while the event is handled. */
export function readDropped(transfer: DataTransfer): Promise<DroppedFiles[]> {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some(entry => entry?.isDirectory)) {
    return Promise.resolve([{ below: '', files: [...transfer.files] }]);
  }
  return filesOf('', entries.filter(entry => entry !== null));
}

/** The same for a directory that they were dropped on. */
export function groupsOf(directory: string, dropped: readonly DroppedFiles[]): UploadGroup[] {
  return dropped.map(({ below, files }) => ({ directory: below ? `${directory}/${below}` : directory, files }));
}

/** A folder that was chosen in a dialog, which tells of each file where it lies in it. */
export function groupsOfFolder(directory: string, files: readonly File[]): UploadGroup[] {
  const groups = new Map<string, File[]>();
  for (const file of files) {
    const parts = file.webkitRelativePath.split('/');
    if (!parts.slice(1).some(isHidden)) {
      const goal = `${directory}/${parts.slice(0, -1).join('/')}`;
      const group = groups.get(goal) ?? [];
      group.push(file);
      groups.set(goal, group);
    }
  }
  return [...groups].map(([goal, group]) => ({ directory: goal, files: group }));
}

async function filesOf(below: string, entries: readonly FileSystemEntry[]): Promise<DroppedFiles[]> {
  const files = await Promise.all(entries.filter(isFile).map(fileOf));
  const found: DroppedFiles[] = files.length > 0 ? [{ below, files }] : [];
  for (const directory of entries.filter(isDirectory)) {
    const inner = below ? `${below}/${directory.name}` : directory.name;
    const children = (await childrenOf(directory)).filter(({ name }) => !isHidden(name));
    found.push(...(children.length === 0 ? [{ below: inner, files: [] }] : await filesOf(inner, children)));
  }
  return found;
}

/** Areas take no such names, and a folder may be full of them: `.git`, `.DS_Store`. */
function isHidden(name: string): boolean {
  return name.startsWith('.');
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
