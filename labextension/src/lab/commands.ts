/** What one can do with the tree: ids, labels, when it is possible and why not. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Dialog, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import {
  addIcon,
  copyIcon,
  deleteIcon,
  downloadIcon,
  editIcon,
  fileUploadIcon,
  newFolderIcon,
  refreshIcon
} from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { toApiError } from '../api/errors';
import type { TreeEntry } from '../api/types';
import { pythonCell, pythonLines } from '../model/code';
import { baseName, nameProblem, parentOf, rootOf } from '../model/paths';
import { lazyIcon } from '../ui/icons';
import type { Browser, Session } from './browser';
import { askExpression, type ExpressionDraft } from './expressionDialog';
import { askLogin, type LoginDraft } from './loginDialog';
import { insertCode, insertIntoNew } from './notebooks';

export const CommandIDs = {
  open: 'caterva2:open-dataset',
  insertCode: 'caterva2:insert-code',
  copyPath: 'caterva2:copy-path',
  copyCode: 'caterva2:copy-code',
  copyUrl: 'caterva2:copy-url',
  download: 'caterva2:download-file',
  upload: 'caterva2:upload-files',
  newFolder: 'caterva2:create-folder',
  rename: 'caterva2:rename-file',
  delete: 'caterva2:delete-file',
  subscribe: 'caterva2:subscribe-root',
  newExpression: 'caterva2:create-expression',
  refresh: 'caterva2:refresh-tree',
  collapseAll: 'caterva2:collapse-tree',
  logIn: 'caterva2:log-in',
  logOut: 'caterva2:log-out',
  show: 'caterva2:show-sidebar'
} as const;

/** Commands of the palette, in its order. */
export const PALETTE: readonly string[] = Object.values(CommandIDs);

export interface CommandContext {
  readonly app: JupyterFrontEnd;
  readonly browser: Browser;
  readonly trans: TranslationBundle;
  readonly notebooks: INotebookTracker | null;
  /** Whether deleting asks first. */
  confirmsDelete(): boolean;
  /** Open a viewer tab. */
  open(subscriber: string, entry: TreeEntry | null, args: ReadonlyPartialJSONObject): void;
  showSidebar(): void;
}

const CONTAINERS: ReadonlySet<string> = new Set(['root', 'area', 'directory']);

/** Why something can not be done; null if it can. */
type Reason = string | null;

export function addCommands(context: CommandContext): void {
  const { app, browser, trans, notebooks } = context;
  const { commands } = app;

  const session = (): Session | null => browser.session;
  const pathOf = (args: ReadonlyPartialJSONObject): string | null => {
    const path = args['path'];
    return typeof path === 'string' ? path : (session()?.catalog.selected ?? null);
  };
  const entryOf = (args: ReadonlyPartialJSONObject): TreeEntry | null => {
    const path = pathOf(args);
    return path === null ? null : (session()?.catalog.find(path)?.entry ?? null);
  };

  // reasons

  const nothing = (args: ReadonlyPartialJSONObject): Reason =>
    entryOf(args) ? null : trans.__('nothing is selected');
  const noFile = (args: ReadonlyPartialJSONObject): Reason => {
    const entry = entryOf(args);
    if (!entry) {
      return nothing(args);
    }
    return CONTAINERS.has(entry.kind) ? trans.__('not for directories') : null;
  };
  const readOnly = (): Reason =>
    browser.connections.subscriber(session()?.connection.name ?? '')?.read_only
      ? trans.__('this Jupyter may only read')
      : null;
  const notOurs = (args: ReadonlyPartialJSONObject): Reason => {
    const entry = entryOf(args);
    if (!entry) {
      return nothing(args);
    }
    if (entry.kind === 'root' || entry.kind === 'area') {
      return trans.__('not for roots and areas');
    }
    if (!rootOf(entry.path).startsWith('@')) {
      return trans.__('published roots are read-only');
    }
    return readOnly() ?? notAllowed(rootOf(entry.path));
  };
  const notAllowed = (area: string): Reason =>
    session()?.catalog.find(area)?.entry.writable === false ? trans.__('you are not logged in to write') : null;
  const noGoal = (args: ReadonlyPartialJSONObject): Reason => {
    if (!session()) {
      return trans.__('no subscriber is connected');
    }
    const refused = readOnly();
    if (refused) {
      return refused;
    }
    return goalOf(session(), entryOf(args)) === null ? trans.__('no area is writable') : null;
  };
  const noSubscription = (args: ReadonlyPartialJSONObject): Reason => {
    const entry = entryOf(args);
    if (!entry || entry.kind !== 'root') {
      return trans.__('only for roots');
    }
    return entry.subscribed ? trans.__('subscribed already') : null;
  };

  /** Add a command that says in its label why it is not possible. */
  const add = (
    id: string,
    label: string,
    caption: string,
    reason: (args: ReadonlyPartialJSONObject) => Reason,
    execute: (args: ReadonlyPartialJSONObject) => unknown,
    icon?: typeof addIcon
  ): void => {
    commands.addCommand(id, {
      label: args => {
        const why = args['isToolbar'] ? null : reason(args);
        return why === null ? label : `${label} (${why})`;
      },
      caption: args => {
        const why = reason(args);
        return why === null ? caption : `${caption} (${why})`;
      },
      isEnabled: args => reason(args) === null,
      execute,
      ...(icon ? { icon } : {}),
      describedBy: {
        args: {
          type: 'object',
          properties: { path: { type: 'string', description: 'Path; the selected one if it is left out.' } }
        }
      }
    });
  };

  /** Do something at the subscriber; failures are shown, with a retry if that may help. */
  const attempt = async (title: string, run: (session: Session) => Promise<void>): Promise<void> => {
    const current = session();
    if (!current) {
      return;
    }
    try {
      await run(current);
    } catch (reason) {
      const error = toApiError(reason);
      console.error(title, error.code, error.requestId ?? '');
      Notification.error(`${title} ${error.sentence}`, {
        autoClose: false,
        actions: error.isPassing
          ? [{ label: trans.__('Retry'), callback: () => void attempt(title, run) }]
          : []
      });
    }
  };

  const always = (): Reason => null;
  const noSession = (): Reason => (session() ? null : trans.__('no subscriber is connected'));
  const urlbase = (current: Session): string | null => {
    const { connections } = browser;
    const { name } = current.connection;
    return name === connections.current ? null : (connections.subscriber(name)?.url ?? null);
  };

  // reading

  commands.addCommand(CommandIDs.open, {
    label: args => {
      const why = typeof args['path'] === 'string' ? null : noFile(args);
      return why === null ? trans.__('Open') : `${trans.__('Open')} (${why})`;
    },
    caption: trans.__('Show the dataset or file in a tab'),
    isEnabled: args => typeof args['path'] === 'string' || noFile(args) === null,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          path: { type: 'string', description: 'Path of the dataset or file; the selected one if it is left out.' },
          subscriber: { type: 'string', description: 'Name of the subscriber; the current one if it is left out.' }
        }
      }
    },
    execute: args => {
      const name = typeof args['subscriber'] === 'string' ? args['subscriber'] : session()?.connection.name;
      const path = pathOf(args);
      if (name === undefined || path === null) {
        return;
      }
      const entry = name === session()?.connection.name ? entryOf(args) : null;
      context.open(name, entry, { ...args, path });
    }
  });

  add(
    CommandIDs.insertCode,
    trans.__('Insert Code into Notebook'),
    trans.__('Insert a cell that opens it into the active notebook'),
    nothing,
    args => {
      const [current, entry] = [session(), entryOf(args)];
      if (!current || !entry) {
        return;
      }
      const code = pythonCell(entry, urlbase(current));
      if (!insertCode(notebooks, code)) {
        Notification.info(trans.__('No notebook is open.'), {
          autoClose: 15_000,
          actions: [
            {
              label: trans.__('New notebook'),
              callback: () => void insertIntoNew(app, notebooks, code)
            },
            { label: trans.__('Copy code'), callback: () => Clipboard.copyToSystem(code) }
          ]
        });
      }
    }
  );

  add(
    CommandIDs.copyPath,
    trans.__('Copy Path'),
    trans.__('Copy the path to the clipboard'),
    nothing,
    args => Clipboard.copyToSystem(pathOf(args) ?? ''),
    copyIcon
  );

  add(
    CommandIDs.copyCode,
    trans.__('Copy Code'),
    trans.__('Copy the lines of Python that open it'),
    nothing,
    args => {
      const [current, entry] = [session(), entryOf(args)];
      if (current && entry) {
        Clipboard.copyToSystem(pythonLines(entry, urlbase(current)));
      }
    }
  );

  add(
    CommandIDs.copyUrl,
    trans.__('Copy Download URL'),
    trans.__('Copy the address from which the file can be downloaded'),
    noFile,
    args => {
      const [current, path] = [session(), pathOf(args)];
      if (current && path !== null) {
        const url = browser.connections.subscriber(current.connection.name)?.url ?? '';
        const { api } = current.connection;
        const own = api.downloadUrl(path);
        // The embedded subscriber has no address but the one inside Jupyter.
        const isPublic = /^https?:/.test(url);
        Clipboard.copyToSystem(isPublic ? `${url.replace(/\/$/, '')}/${own.slice(api.base.length)}` : own);
      }
    }
  );

  add(
    CommandIDs.download,
    trans.__('Download'),
    trans.__('Download the file as it was published'),
    noFile,
    args => {
      const [current, path] = [session(), pathOf(args)];
      if (current && path !== null) {
        const link = document.createElement('a');
        link.href = current.connection.api.downloadUrl(path);
        link.download = baseName(path);
        document.body.append(link);
        link.click();
        link.remove();
      }
    },
    downloadIcon
  );

  add(
    CommandIDs.subscribe,
    trans.__('Subscribe'),
    trans.__('Keep a list of what the root holds, and follow its changes'),
    noSubscription,
    args =>
      attempt(trans.__('The root could not be subscribed to.'), async current => {
        const path = pathOf(args);
        if (path !== null) {
          await current.connection.api.subscribe(path);
          current.catalog.refresh();
          current.catalog.expand(path);
        }
      })
  );

  add(
    CommandIDs.refresh,
    trans.__('Refresh Datasets'),
    trans.__('Read the tree again'),
    always,
    async () => {
      await browser.connections.retry();
      session()?.catalog.refresh();
      session()?.details.refresh();
    },
    refreshIcon
  );

  add(
    CommandIDs.collapseAll,
    trans.__('Collapse All'),
    trans.__('Show the roots and areas only'),
    noSession,
    () => session()?.catalog.collapseAll()
  );

  const noLogin = (isLoggedIn: boolean): Reason => {
    const shown = browser.connections.subscriber(browser.connections.current ?? '');
    if (!shown) {
      return trans.__('no subscriber is connected');
    }
    if (!shown.features.includes('login')) {
      return trans.__('the subscriber has no users');
    }
    if ((shown.user !== null) !== isLoggedIn) {
      return isLoggedIn ? trans.__('nobody is logged in') : trans.__('logged in as %1', shown.user ?? '');
    }
    return null;
  };

  const logIn = async (draft: LoginDraft): Promise<void> => {
    const { connections } = browser;
    const name = connections.current;
    const wish = name === null ? null : await askLogin(draft, trans);
    if (name === null || !wish) {
      return;
    }
    try {
      await connections.logIn(name, wish.user, wish.password);
      session()?.catalog.refresh();
    } catch (reason) {
      void logIn({ ...wish, password: '', problem: toApiError(reason).sentence });
    }
  };

  add(
    CommandIDs.logIn,
    trans.__('Log In to Subscriber…'),
    trans.__('Log in to the subscriber, to write and to see what is yours'),
    () => noLogin(false),
    () => {
      const { connections } = browser;
      const shown = connections.subscriber(connections.current ?? '');
      return logIn({ where: shown?.url ?? '', user: '', password: '' });
    }
  );

  add(
    CommandIDs.logOut,
    trans.__('Log Out of Subscriber'),
    trans.__('End the session at the subscriber'),
    () => noLogin(true),
    () =>
      attempt(trans.__('You are still logged in.'), async current => {
        await browser.connections.logOut(current.connection.name);
        current.catalog.refresh();
      })
  );

  add(CommandIDs.show, trans.__('Datasets (Caterva2)'), trans.__('Show the sidebar of Caterva2'), always, () =>
    context.showSidebar()
  );

  // writing

  add(
    CommandIDs.upload,
    trans.__('Upload Files…'),
    trans.__('Upload files to the selected directory'),
    noGoal,
    args => {
      const current = session();
      const goal = goalOf(current, entryOf(args));
      if (!current || goal === null) {
        return;
      }
      const input = document.createElement('input');
      input.type = 'file';
      input.multiple = true;
      input.onchange = () => {
        current.catalog.expand(goal);
        current.uploads.add(goal, [...(input.files ?? [])]);
      };
      input.click();
    },
    fileUploadIcon
  );

  add(
    CommandIDs.newFolder,
    trans.__('New Folder…'),
    trans.__('Make a directory in the selected area or directory'),
    noGoal,
    async args => {
      const goal = goalOf(session(), entryOf(args));
      if (goal === null) {
        return;
      }
      const answer = await InputDialog.getText({
        title: trans.__('New folder in %1', goal),
        label: trans.__('Name'),
        okLabel: trans.__('Create')
      });
      const name = answer.value?.trim();
      if (!answer.button.accept || !name) {
        return;
      }
      const problem = nameProblem(name, trans);
      if (problem) {
        Notification.error(problem, { autoClose: 8000 });
        return;
      }
      await attempt(trans.__('The folder could not be made.'), async current => {
        await current.connection.api.mkdir(`${goal}/${name}`);
        current.catalog.expand(goal);
        current.catalog.refresh(goal);
        await current.catalog.reveal(`${goal}/${name}`);
      });
    },
    newFolderIcon
  );

  add(
    CommandIDs.rename,
    trans.__('Rename…'),
    trans.__('Give the file or directory another name'),
    notOurs,
    args => {
      const [path, name] = [pathOf(args), args['name']];
      if (path === null) {
        return;
      }
      if (typeof name !== 'string') {
        browser.edit(path);
        return;
      }
      const problem = nameProblem(name, trans);
      if (problem) {
        Notification.error(problem, { autoClose: 8000 });
        return;
      }
      return attempt(trans.__('It could not be renamed.'), async current => {
        const goal = `${parentOf(path)}/${name}`;
        await current.connection.api.move(path, goal);
        current.catalog.refresh(parentOf(path));
        await current.catalog.reveal(goal);
      });
    },
    editIcon
  );

  add(
    CommandIDs.delete,
    trans.__('Delete'),
    trans.__('Delete the file or directory'),
    notOurs,
    async args => {
      const entry = entryOf(args);
      if (!entry) {
        return;
      }
      if (context.confirmsDelete()) {
        const isDirectory = entry.kind === 'directory';
        const answer = await showDialog({
          title: isDirectory ? trans.__('Delete directory') : trans.__('Delete file'),
          body: isDirectory
            ? trans.__('Delete %1 with everything in it? It can not be undone.', entry.path)
            : trans.__('Delete %1? It can not be undone.', entry.path),
          buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: trans.__('Delete') })],
          defaultButton: 0
        });
        if (!answer.button.accept) {
          return;
        }
      }
      await attempt(trans.__('It could not be deleted.'), async current => {
        await current.connection.api.remove(entry.path);
        current.catalog.refresh(parentOf(entry.path));
      });
    },
    deleteIcon
  );

  const createExpression = async (draft: ExpressionDraft): Promise<void> => {
    const wish = await askExpression(draft, trans);
    if (!wish) {
      return;
    }
    const current = session();
    try {
      const path = await current?.connection.api.lazyexpr({
        name: wish.name,
        expression: wish.expression,
        operands: Object.fromEntries(wish.operands.filter(([name, path]) => name && path))
      });
      if (current && path) {
        current.catalog.refresh(parentOf(path));
        await current.catalog.reveal(path);
        context.open(current.connection.name, current.catalog.find(path)?.entry ?? null, { path });
      }
    } catch (reason) {
      // What was typed is not lost.
      void createExpression({ ...wish, problem: toApiError(reason).sentence });
    }
  };

  add(
    CommandIDs.newExpression,
    trans.__('New Expression…'),
    trans.__('Make a dataset in @personal that is computed from others when it is read'),
    () => {
      const current = session();
      if (!current) {
        return trans.__('no subscriber is connected');
      }
      const personal = current.catalog.find('@personal')?.entry;
      return readOnly() ?? (personal?.writable ? null : trans.__('needs an area @personal'));
    },
    args => {
      const entry = entryOf(args);
      const operand = entry?.shape ? entry.path : '';
      return createExpression({ name: '', expression: operand ? 'a + 1' : '', operands: [['a', operand]] });
    },
    lazyIcon
  );
}

/** The reason in the label of a command that is not possible. */
export function whyNot(label: string): string {
  return /\(([^)]*)\)$/.exec(label)?.[1] ?? label;
}

/** The writable directory where something new goes: the selected one, the one around it, or the first area. */
export function goalOf(session: Session | null, entry: TreeEntry | null): string | null {
  if (!session) {
    return null;
  }
  const { catalog } = session;
  const isWritable = (path: string): boolean => catalog.find(rootOf(path))?.entry.writable === true;
  if (entry && isWritable(entry.path)) {
    return CONTAINERS.has(entry.kind) ? entry.path : parentOf(entry.path);
  }
  return ['@personal', '@shared', '@public'].find(isWritable) ?? null;
}
