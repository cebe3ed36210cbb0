/** A tab of the main area that shows one file. The viewer itself is loaded when the first tab opens. */
import { ReactWidget } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';
import { Component, lazy, Suspense, type ReactElement, type ReactNode } from 'react';

import type { TreeKind } from '../api/types';
import { baseName } from '../model/paths';
import { iconOf } from '../ui/icons';
import { Notice } from '../ui/Notice';
import type { ViewerState } from '../viewer/state';
import type { Connection } from './tokens';

export interface ViewerTabOptions {
  readonly connection: Connection;
  readonly path: string;
  /** What kind of file it is, if that is known already. */
  readonly kind?: TreeKind | undefined;
  readonly state?: ViewerState | undefined;
  readonly trans: TranslationBundle;
}

type Message = Parameters<ReactWidget['processMessage']>[0];

export class ViewerTab extends ReactWidget {
  constructor({ connection, path, kind, state, trans }: ViewerTabOptions) {
    super();
    this.connection = connection;
    this.path = path;
    this.kind = kind;
    this._state = state;
    this._trans = trans;
    this._listening = connection.feed.listen();
    this.id = `caterva2-viewer-${connection.name}-${path}`;
    this.addClass('jp-Caterva2-Viewer');
    this.node.dataset['path'] = path;
    this.title.label = baseName(path);
    this.title.caption = path;
    this.title.closable = true;
    this.title.icon = iconOf(kind ?? 'file');
    this.node.tabIndex = -1;
  }

  readonly connection: Connection;
  readonly path: string;
  readonly kind: TreeKind | undefined;

  /** What the viewer wants to find again after a reload. */
  get viewerState(): ViewerState | undefined {
    return this._state;
  }

  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }

  protected override render(): ReactElement {
    return <Guard trans={this._trans} render={() => this.renderViewer()} />;
  }

  /** Take the keyboard; JupyterLab knows by it which tab is meant when one is closed. */
  protected override onActivateRequest(): void {
    if (!this.node.contains(document.activeElement)) {
      this.node.focus();
    }
  }

  /** A closed tab is gone; by itself it would only be taken off the page, and be found again when it is opened anew. */
  protected override onCloseRequest(message: Message): void {
    super.onCloseRequest(message);
    this.dispose();
  }

  override dispose(): void {
    this._listening.dispose();
    super.dispose();
  }

  private renderViewer(): ReactElement {
    const { api, feed } = this.connection;
    const Viewer = viewer.load();
    return (
      <Suspense fallback={<div className="jp-Caterva2-Viewer-loading" data-state="loading" />}>
        <Viewer
          api={api}
          events={feed}
          path={this.path}
          state={this._state}
          onState={state => {
            this._state = state;
            this._stateChanged.emit();
          }}
          // The viewer fills in the values itself; without these the bundle would put `undefined` there.
          translate={text => this._trans.__(text, '%1', '%2', '%3', '%4')}
        />
      </Suspense>
    );
  }

  private _state: ViewerState | undefined;
  private readonly _trans: TranslationBundle;
  private readonly _listening: IDisposable;
  private readonly _stateChanged = new Signal<this, void>(this);
}

/** The chunk of the viewer; asked for again after a failure. */
const viewer = {
  load: () => (viewer.component ??= lazy(() => import('../viewer'))),
  forget: () => {
    viewer.component = null;
  },
  component: null as ReturnType<typeof lazy<typeof import('../viewer').default>> | null
};

interface GuardProps {
  readonly trans: TranslationBundle;
  render(): ReactNode;
}

/** Shows what went wrong in a viewer, in its place. */
class Guard extends Component<GuardProps, { failure: string | null }> {
  override state = { failure: null };

  static getDerivedStateFromError(reason: unknown): { failure: string } {
    return { failure: reason instanceof Error ? reason.message : String(reason) };
  }

  override render(): ReactNode {
    const { trans, render } = this.props;
    const { failure } = this.state;
    if (failure === null) {
      return render();
    }
    return (
      <div className="jp-Caterva2-Viewer-failed" data-state="error">
        <Notice
          kind="error"
          text={trans.__('The viewer stopped: %1', failure)}
          action={trans.__('Retry')}
          onAction={() => {
            viewer.forget();
            this.setState({ failure: null });
          }}
        />
      </div>
    );
  }
}
