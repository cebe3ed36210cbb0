/** The plugin with the sidebar, the commands and the viewer tabs. */
import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, WidgetTracker } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { TreeEntry } from '../api/types';
import { Debouncer } from '../model/debounce';
import { watchLeaving } from '../ui/leaving';
import type { ViewerState } from '../viewer/state';
import { Browser } from './browser';
import { addCommands, CommandIDs, PALETTE } from './commands';
import { Sidebar, SIDEBAR_ID } from './sidebar';
import { ICaterva2 } from './tokens';
import { ViewerTab } from './viewerTab';

const SAVE_MS = 500;
const TELL_MS = 100;

const plugin: JupyterFrontEndPlugin<void> = {
  id: '@caterva2/jupyterlab:plugin',
  description: 'A sidebar with Caterva2 datasets, and tabs that show them.',
  autoStart: true,
  requires: [ICaterva2],
  optional: [ITranslator, ICommandPalette, ILayoutRestorer, IStateDB, ISettingRegistry, INotebookTracker],
  activate: (
    app: JupyterFrontEnd,
    connections: ICaterva2,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    state: IStateDB | null,
    settings: ISettingRegistry | null,
    notebooks: INotebookTracker | null
  ) => {
    const trans = (translator ?? nullTranslator).load('caterva2');
    const { commands, shell } = app;
    const browser = new Browser({ connections, state });
    watchLeaving(() => browser.uploads);
    const choices = { confirmDelete: true };
    const tracker = new WidgetTracker<ViewerTab>({ namespace: 'caterva2-viewer' });

    const open = (subscriber: string, entry: TreeEntry | null, args: ReadonlyPartialJSONObject): void => {
      const path = String(args['path']);
      let tab = tracker.find(one => one.path === path && one.connection.name === subscriber);
      if (!tab) {
        const made = new ViewerTab({
          connection: connections.get(subscriber),
          path,
          kind: entry?.kind ?? (args['kind'] as TreeEntry['kind'] | undefined),
          state: args['state'] as ViewerState | undefined,
          trans
        });
        const saving = new Debouncer(() => void tracker.save(made), SAVE_MS);
        made.stateChanged.connect(() => saving.ask());
        made.disposed.connect(() => saving.dispose());
        void tracker.add(made);
        // Notebook 7 has one document in its main area; there is room below it.
        shell.add(made, hasManyDocuments(app) ? 'main' : 'down');
        tab = made;
      }
      shell.activateById(tab.id);
    };

    addCommands({
      app,
      browser,
      trans,
      notebooks,
      confirmsDelete: () => choices.confirmDelete,
      open,
      showSidebar: () => {
        // In Notebook 7 the shell hides what it is asked to show if that is shown already.
        const activate = (): void => (sidebar.isVisible ? sidebar.activate() : shell.activateById(SIDEBAR_ID));
        activate();
        // A host that is not yet done with its own layout may hide it again.
        void app.restored.then(activate);
        // The palette gives the focus back to the document when it closes, which is after the command.
        requestAnimationFrame(() => requestAnimationFrame(activate));
      }
    });

    const sidebar = new Sidebar({ browser, commands, trans });
    shell.add(sidebar, 'left', { rank: 300, type: 'Caterva2' });
    restorer?.add(sidebar, SIDEBAR_ID);
    if (restorer && hasManyDocuments(app)) {
      void restorer.restore(tracker, {
        command: CommandIDs.open,
        args: tab => tabArgs(tab),
        name: tab => `${tab.connection.name}:${tab.path}`
      });
    }
    for (const command of PALETTE) {
      palette?.addItem({ command, category: trans.__('Caterva2') });
    }
    // What is possible depends on what is selected, and on what the server says of the areas.
    const telling = new Debouncer(() => PALETTE.forEach(id => commands.notifyCommandChanged(id)), TELL_MS);
    browser.changed.connect(() => telling.ask());
    browser.treeChanged.connect(() => telling.ask());

    const take = (loaded: ISettingRegistry.ISettings): void => {
      choices.confirmDelete = loaded.get('confirmDelete').composite !== false;
      sidebar.showsDetails = loaded.get('showDetails').composite !== false;
      const size = loaded.get('pageSize').composite;
      browser.pageSize = typeof size === 'number' ? size : browser.pageSize;
    };
    void settings?.load(plugin.id).then(
      loaded => {
        take(loaded);
        loaded.changed.connect(take);
      },
      (reason: unknown) => console.error('Caterva2: settings', reason)
    );
  }
};

/** Whether the main area takes more than one widget. */
function hasManyDocuments(app: JupyterFrontEnd): boolean {
  return app.name !== 'Jupyter Notebook';
}

function tabArgs(tab: ViewerTab): ReadonlyPartialJSONObject {
  return {
    subscriber: tab.connection.name,
    path: tab.path,
    ...(tab.kind ? { kind: tab.kind } : {}),
    // Plain data by the viewer's own promise; this way it is nothing else.
    ...(tab.viewerState ? { state: JSON.parse(JSON.stringify(tab.viewerState)) as ReadonlyPartialJSONObject } : {})
  };
}

export default plugin;
